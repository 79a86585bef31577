// Package share keeps daily and monthly quotas over restarts and kill -9, and waits for places: what the quota room, which
// is arithmetic alone, cannot do itself.
//
// A share of a quota is stored before the first event of it is let in. The next one is stored while the one before is in
// use, so an event waits for a write only where its share is a few events, or a burst takes one in the time of a write.
package share

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"casemate"
	"casemate/quota"
	"casemate/store"
)

const (
	bucket  = "quota"
	writers = 16 // shares on their way to the store at once: they share commits
	tries   = 8  // for a share, before an event is refused
)

// Config says where shares are kept. Store and Quota are needed; Quota.Low is the room's own.
type Config struct {
	Store store.Store
	Quota quota.Config
	Clock func() time.Time
	Log   *slog.Logger
}

// Room is a ledger that survives. All methods may be called concurrently.
type Room struct {
	*quota.Ledger
	cfg    Config
	kv     store.KV
	work   sync.Mutex // one writing of shares at a time
	low    chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// Open takes stored quotas up and starts the goroutine that stores shares ahead. Those of past periods are deleted.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Store == nil {
		return nil, errors.New("opening quotas: they need a store")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	kv, err := cfg.Store.KV(bucket)
	if err != nil {
		return nil, fmt.Errorf("opening quotas: %w", err)
	}
	r := &Room{cfg: cfg, kv: kv, low: make(chan struct{}, 1), done: make(chan struct{})}
	cfg.Quota.Low = func() {
		select {
		case r.low <- struct{}{}:
		default: // it was told already
		}
	}
	r.Ledger = quota.New(cfg.Quota)
	if err := r.load(ctx); err != nil {
		return nil, fmt.Errorf("opening quotas: %w", err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	go r.keeper(run)
	return r, nil
}

// load reads every quota. One that cannot be read stops the start: leaving it out would give it anew.
func (r *Room) load(ctx context.Context) error {
	entries, err := r.kv.List(ctx, "")
	if err != nil {
		return err
	}
	var all []quota.Count
	for _, e := range entries {
		var c quota.Count
		if err := json.Unmarshal(e.Value, &c); err != nil || keyOf(&c) != e.Key {
			return fmt.Errorf("quota %q is malformed (%w)", e.Key, err)
		}
		if c.Past(r.cfg.Clock()) {
			if err := r.kv.Delete(ctx, e.Key, store.AnyRevision); err != nil {
				return err
			}
			continue
		}
		all = append(all, c)
	}
	r.Load(all)
	return nil
}

// keyOf is a subject's key: of a fixed length, whatever a caller is called.
func keyOf(c *quota.Count) string {
	sum := sha256.Sum256([]byte(c.Kind + "\x00" + c.Name + "\x00" + c.Caller))
	return c.Kind + "/" + hex.EncodeToString(sum[:16])
}

func (r *Room) keeper(ctx context.Context) {
	defer close(r.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.low:
		}
		if err := r.write(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("shares of quotas are not stored", "err", err)
		}
	}
}

// write stores the shares that are wanted. It is never given up half-way: a share that is stored is handed out.
func (r *Room) write(ctx context.Context) error {
	r.work.Lock()
	defer r.work.Unlock()
	wanted := r.Wanted()
	err := r.put(context.WithoutCancel(ctx), wanted)
	r.Granted(wanted, err == nil)
	return err
}

func (r *Room) put(ctx context.Context, all []quota.Count) error {
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range min(writers, len(all)) {
		wg.Go(func() {
			for i := w; i < len(all); i += writers {
				value, err := json.Marshal(&all[i])
				if err == nil {
					_, err = r.kv.Put(ctx, keyOf(&all[i]), value, store.AnyRevision)
				}
				if err != nil {
					errs[w] = fmt.Errorf("storing a quota: %w", err)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Reserve is quota.Ledger.Reserve, but waits: for a place, as long as the ledger has patience, and for a share.
func (r *Room) Reserve(ctx context.Context, now time.Time, d casemate.Demand) (casemate.Reservation, error) {
	res, turn, err := r.Ledger.Reserve(now, d)
	for n := 0; errors.Is(err, quota.ErrShare) && n < tries; n++ {
		if err := r.write(ctx); err != nil {
			return casemate.Reservation{}, &casemate.Error{Code: casemate.Unavailable, Message: "a quota cannot be counted at present", Hint: "look at the node's log", Retry: 5, Err: err}
		}
		res, turn, err = r.Ledger.Reserve(now, d)
	}
	for turn != nil {
		if err := await(ctx, turn); err != nil {
			r.Settle(r.cfg.Clock(), res)
			return casemate.Reservation{}, err
		}
		turn, err = r.Resume(r.cfg.Clock(), res)
	}
	if err != nil {
		return casemate.Reservation{}, err
	}
	return res, nil
}

func await(ctx context.Context, turn *quota.Turn) error {
	late := time.NewTimer(turn.Patience)
	defer late.Stop()
	select {
	case <-turn.C:
		return nil
	case <-late.C:
		return turn.Expired()
	case <-ctx.Done():
		return &casemate.Error{Code: casemate.Unavailable, Message: "the caller went away while it waited for its turn", Err: ctx.Err()}
	}
}

// Close stores what was used exactly: after a stop, unlike after a crash, nothing is lost. Nothing may be reserved any more.
func (r *Room) Close() error {
	r.cancel()
	<-r.done
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r.work.Lock()
	defer r.work.Unlock()
	all := r.Counts()
	for i := range all {
		all[i].Day.Upto, all[i].Month.Upto = all[i].Day.Used, all[i].Month.Used
	}
	return r.put(ctx, all)
}
