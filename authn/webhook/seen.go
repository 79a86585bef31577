package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/store"
)

const (
	// untimed is how long a message of a scheme without a time is remembered: longer than GitHub lets one be sent again
	// (https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks: three days).
	untimed  = 7 * 24 * time.Hour
	patience = 5 * time.Second // of the store and the secrets
)

var errSeen = errors.New("it was taken before")

// seen is what was taken, by sender and digest, in the store: a restart forgets nothing, and two nodes on one store take a
// message once. Values are the seconds at which an entry may go.
type seen struct {
	kv    store.KV
	most  int
	mu    sync.Mutex
	count map[string]int // entries by sender
}

func openSeen(ctx context.Context, s store.Store, most int) (*seen, error) {
	kv, err := s.KV("webhook.seen")
	if err != nil {
		return nil, err
	}
	x := &seen{kv: kv, most: most, count: map[string]int{}}
	entries, err := kv.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		x.count[sender(e.Key)]++
	}
	return x, nil
}

func sender(key string) string { return key[:max(0, strings.LastIndexByte(key, '/'))] }

func until(e store.Entry) time.Time {
	n, err := strconv.ParseInt(string(e.Value), 10, 64)
	if err != nil { // damaged: it stays for good rather than let something in twice
		n = 1 << 40
	}
	return time.Unix(n, 0)
}

// take remembers a message until its time, or says that it was taken before. When the sender's share is full, what has no
// time makes place for the newest; what has one must wait: forgetting it early would let it in twice.
func (x *seen) take(ctx context.Context, id, key string, now, end time.Time, evict bool) error {
	if err := x.room(ctx, id, now, evict); err != nil {
		return err
	}
	value, at := []byte(strconv.FormatInt(end.Unix(), 10)), id+"/"+key
	_, err := x.kv.Put(ctx, at, value, store.NewKey)
	if err != nil && casemate.CodeOf(err) == casemate.Conflict {
		x.add(id, -1)
		old, gerr := x.kv.Get(ctx, at)
		if gerr == nil && until(old).Before(now) {
			_, err = x.kv.Put(ctx, at, value, old.Revision)
		}
		if err != nil && casemate.CodeOf(err) == casemate.Conflict {
			return errSeen
		}
	} else if err != nil {
		x.add(id, -1)
	}
	if err != nil {
		return &casemate.Error{Code: casemate.Unavailable, Message: "the message cannot be remembered", Hint: "send it again", Retry: 5, Err: err}
	}
	return nil
}

// room counts one more entry of id, and makes place where there is none.
func (x *seen) room(ctx context.Context, id string, now time.Time, evict bool) error {
	if x.add(id, 1) {
		return nil
	}
	err := x.sweep(ctx, id, now)
	if err == nil && evict {
		err = x.evict(ctx, id)
	}
	if err == nil && x.add(id, 1) {
		return nil
	}
	return &casemate.Error{Code: casemate.Exhausted, Message: "more messages than can be remembered", Hint: "send fewer a second, or lower the webhook's tolerance", Retry: 30, Err: err}
}

// add counts entries of a sender; it refuses one too many.
func (x *seen) add(id string, n int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n > 0 && x.count[id]+n > x.most {
		return false
	}
	if x.count[id] += n; x.count[id] <= 0 {
		delete(x.count, id)
	}
	return true
}

func (x *seen) forget(ctx context.Context, id, key string) error {
	err := x.kv.Delete(ctx, id+"/"+key, store.AnyRevision)
	if err == nil {
		x.add(id, -1)
	}
	return err
}

// sweep forgets what has had its time, of one sender or of all.
func (x *seen) sweep(ctx context.Context, id string, now time.Time) error {
	return x.drop(ctx, id, func(all []store.Entry) []store.Entry {
		return slices.DeleteFunc(all, func(e store.Entry) bool { return !until(e).Before(now) })
	})
}

// evict forgets the sixteenth of a sender's entries that would go first.
func (x *seen) evict(ctx context.Context, id string) error {
	return x.drop(ctx, id, func(all []store.Entry) []store.Entry {
		slices.SortFunc(all, func(a, b store.Entry) int { return cmp.Compare(until(a).Unix(), until(b).Unix()) })
		return all[:min(len(all), x.most/16+1)]
	})
}

func (x *seen) drop(ctx context.Context, id string, which func([]store.Entry) []store.Entry) error {
	prefix := ""
	if id != "" {
		prefix = id + "/"
	}
	all, err := x.kv.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("listing messages: %w", err)
	}
	for _, e := range which(all) {
		switch err := x.kv.Delete(ctx, e.Key, e.Revision); {
		case err == nil:
			x.add(sender(e.Key), -1)
		case casemate.CodeOf(err) != casemate.NotFound && casemate.CodeOf(err) != casemate.Conflict:
			return fmt.Errorf("forgetting a message: %w", err)
		}
	}
	return nil
}
