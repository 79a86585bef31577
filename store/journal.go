package store

import (
	"time"

	"casemate/store/commit"
)

// Journal is the group commit, for a room that makes its own sense of its records: a queue service, say. State is what it
// makes of them, in memory; Record is one of them, Fields reads what
// is in it, Heap keeps what comes next. See package commit for the contract of each.
type (
	Journal = commit.Journal
	State   = commit.State
	Record  = commit.Record
	Pending = commit.Pending
	Fields  = commit.Fields
)

// Heap is commit.Heap.
type Heap[T any] = commit.Heap[T]

// Journal opens the journal of that name for st, once: a second call with the same name gives the first one's journal, and
// st is not asked. Records that st does not keep are cleaned away when they are older than young. What was acknowledged is replayed into st before it returns.
func (n *Node) Journal(name string, st State, young time.Duration) (*Journal, error) {
	if err := checkName("journal", name); err != nil {
		return nil, err
	}
	return n.host.Journal("own", name, st, young)
}
