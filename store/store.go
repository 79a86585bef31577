// Package store keeps everything durable: keys and values, append-only streams, work queues and blobs. The embedded
// NATS server with JetStream is the real one; the in-memory one is the specification, and both pass one suite.
package store

import (
	"context"
	"io"
	"time"

	"casemate"
)

// Store is one node's view of the state. Close flushes and waits; nothing may be called after it.
type Store interface {
	KV(bucket string) (KV, error)
	Stream(name string) (Stream, error)
	Queue(name string) (Queue, error)
	Blobs() Blobs
}

// Entry is one key with its value. Revision is unique within its bucket and grows with every write.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64
}

// Expectations for KV.Put and KV.Delete; any other number is the exact revision that must be current.
const (
	AnyRevision uint64 = 1<<64 - 1 // whatever is there
	NewKey      uint64 = 0         // the key must not exist
)

// KV is a bucket. Keys are any non-empty UTF-8 up to 512 bytes. Every write is durable when it returns. A wrong
// expectation is an *casemate.Error of code Conflict, a missing key NotFound.
type KV interface {
	Get(ctx context.Context, key string) (Entry, error)
	Put(ctx context.Context, key string, value []byte, expect uint64) (uint64, error)
	Delete(ctx context.Context, key string, expect uint64) error
	List(ctx context.Context, prefix string) ([]Entry, error) // sorted by key
}

// Message is one element of a stream. Seq starts at 1 and has no gaps.
type Message struct {
	Seq  uint64
	At   time.Time
	Data []byte
}

// Stream is append-only: it refuses deletion and purge. Append returns when data has come as far as w asks, and does not keep
// it; concurrent appends share one commit. Read gives at most max messages from sequence from on, in order, and an empty slice past the
// end. Wait blocks until a sequence >= from exists. A message whose stored checksum does not match is an error that
// names its sequence: a stream is never silently shortened.
type Stream interface {
	Append(ctx context.Context, data []byte, w casemate.Wait) (uint64, error)
	Read(ctx context.Context, from uint64, max int) ([]Message, error)
	Last(ctx context.Context) (uint64, error)
	Wait(ctx context.Context, from uint64) error
}

// Delivery is one queued item in the hands of one worker, until Done or Retry, or until its lease runs out.
type Delivery struct {
	ID       string // as given to Put
	Data     []byte
	Attempt  int // 1 on the first delivery
	Enqueued time.Time
	Done     func(ctx context.Context) error                      // durable removal
	Retry    func(ctx context.Context, after time.Duration) error // back in the queue, invisible for after
	Extend   func(ctx context.Context) error                      // lease renewed while a long run goes on
}

// Queue hands each item to one worker at a time and keeps it until it is done: at least once, never lost. Put is durable
// when it returns and a second Put of the same id within two minutes is not queued again.
type Queue interface {
	Put(ctx context.Context, id string, data []byte) error
	Next(ctx context.Context) (*Delivery, error) // blocks
	Depth(ctx context.Context) (items uint64, oldest time.Time, err error)
	Depths(ctx context.Context) ([]Depth, error) // by label: what follows the last "@" of an id
}

// Blobs holds immutable content by its lower-case hex SHA-256.
type Blobs interface {
	Put(ctx context.Context, r io.Reader) (digest string, size int64, err error) // durable; a second Put of the same bytes is a no-op
	Open(ctx context.Context, digest string) (io.ReadCloser, error)              // the reader fails at its end when the content does not match
	Has(ctx context.Context, digest string) (bool, error)
	Delete(ctx context.Context, digest string) error
}
