package audit

import (
	"context"
	"sync"

	"casemate"
)

// debt is what the log still owes the stream: closings that could not be written, because the disk was full say. Their
// events are over and their callers were told that there is no record, but no record may be missing either: the sealer
// goes on trying, and their slots stay taken until it succeeds. While there is debt nothing new begins.
type debt struct {
	mu     sync.Mutex
	owed   []owing
	paying bool
}

type owing struct {
	record casemate.Record
	slot   *slot
	floor  uint64 // the closing cannot be in the stream up to here
}

func (d *debt) add(o owing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owed = append(d.owed, o)
}

func (d *debt) some() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.paying || len(d.owed) > 0
}

func (d *debt) take() []owing {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.owed
	d.owed, d.paying = nil, len(all) > 0
	return all
}

// keep takes back what could not be paid.
func (d *debt) keep(left []owing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owed, d.paying = append(left, d.owed...), false
}

// pay writes what is owed. A failed write may have reached the stream after all; such a record is not written again.
// Only the sealer calls it.
func (l *Log) pay(ctx context.Context) error {
	all := l.debt.take()
	if len(all) == 0 {
		return nil
	}
	left := make([]leftover, len(all))
	for i := range all {
		left[i].floor = all[i].floor
	}
	closed, err := l.closedSince(ctx, left)
	for i := range all {
		o := &all[i]
		if err == nil && closed[o.record.ID] <= o.floor {
			_, err = l.append(ctx, &o.record, casemate.Written)
		}
		if err != nil {
			l.debt.keep(all[i:])
			return err
		}
		l.table.release(o.record.ID, o.slot)
	}
	l.debt.keep(nil)
	return nil
}

// stuck is why nothing can begin while a record is owed. It has the sealer try again.
func (l *Log) stuck() error {
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return &casemate.Error{Code: casemate.Unavailable, Message: "records cannot be written", Retry: 5,
		Hint: "the operator should look at the store's disk; free space if it is full"}
}
