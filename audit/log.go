package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"casemate"
	"casemate/audit/entry"
	"casemate/store"
)

// Streams of the log in the store, and its files in Config.Dir.
const (
	streamRecords     = "audit"
	streamCheckpoints = "checkpoints"

	fileTable = "inflight.tab"
	fileTree  = "tree.hashes"
	fileCopy  = "checkpoints.log"
	fileKey   = "audit.key"
)

// Config says where the log lives. Store and Dir are needed; every zero number means its default.
type Config struct {
	Store    store.Store
	Dir      string        // node-local folder, created 0700: in-flight table, tree, copy of the checkpoints, key
	Key      string        // file with the checkpoint signing key; default Dir/audit.key, made on first start, 0600
	Origin   string        // name of the log inside checkpoints: no space, no "+"; default "casemate/audit"
	Slots    int           // events in flight at once; default 4096, at most 65536
	Every    int64         // records from one checkpoint to the next at most; default 8192
	Interval time.Duration // time likewise; default 10 s
	Clock    func() time.Time
	Log      *slog.Logger
}

func (c *Config) fill() error {
	if c.Store == nil || c.Dir == "" {
		return errors.New("audit needs a store and a folder")
	}
	c.Key = cmp.Or(c.Key, filepath.Join(c.Dir, fileKey))
	c.Origin = cmp.Or(c.Origin, "casemate/audit")
	c.Slots = cmp.Or(c.Slots, 4096)
	c.Every = cmp.Or(c.Every, 8192)
	c.Interval = cmp.Or(c.Interval, 10*time.Second)
	if c.Slots < 1 || c.Slots > 1<<16 || c.Every < 1 || c.Interval < time.Millisecond {
		return fmt.Errorf("slots %d, every %d, interval %v: out of bounds", c.Slots, c.Every, c.Interval)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// patience bounds one append: the record is written even when the caller has gone, but not waited for without end.
const patience = 15 * time.Second

// Log is the open audit log of a node. All methods may be called concurrently.
type Log struct {
	cfg     Config
	records store.Stream
	marks   store.Stream
	table   *table
	cache   *cache
	debt    debt
	last    atomic.Uint64 // a sequence known to be in the stream
	durable atomic.Uint64 // likewise, and known to survive a power cut

	observe atomic.Pointer[func(seq uint64, r *casemate.Record)]
	texts   sync.Pool // of *[]byte: encoded records that the stream has

	signer note.Signer
	check  note.Verifier
	public string

	sealing sync.Mutex // guards what follows, and the order of checkpoints
	tree    *tree
	newest  Checkpoint
	copy    *os.File
	copyEnd int64
	trouble error // why the last sealing failed

	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

// Open takes the log over: it holds the stream against the newest checkpoint it ever signed, closes as "interrupted"
// whatever was in flight when the node died, and starts sealing. A log that is not the one it left is a *Tampering
// inside an error of code Fault: the node must not start on it. Two logs on one folder are refused.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	if err := cfg.fill(); err != nil {
		return nil, fmt.Errorf("opening audit log: %w", err)
	}
	l := &Log{cfg: cfg, cache: newCache(), wake: make(chan struct{}, 1), done: make(chan struct{})}
	if err := l.open(ctx); err != nil {
		l.shut()
		var t *Tampering
		if errors.As(err, &t) {
			return nil, casemate.Errorf(casemate.Fault, "keep the store as it is and verify an export against a checkpoint kept elsewhere",
				"opening audit log: %w", err)
		}
		return nil, fmt.Errorf("opening audit log: %w", err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	go l.sealer(run)
	return l, nil
}

func (l *Log) open(ctx context.Context) error {
	if err := os.MkdirAll(l.cfg.Dir, 0o700); err != nil {
		return err
	}
	file, err := openMapping(filepath.Join(l.cfg.Dir, fileTable), headerSize+int64(l.cfg.Slots)*slotSize)
	if err != nil {
		return fmt.Errorf("in-flight table: %w", err)
	}
	l.table = newTable(file, 0)
	if l.records, err = l.cfg.Store.Stream(streamRecords); err != nil {
		return err
	}
	if l.marks, err = l.cfg.Store.Stream(streamCheckpoints); err != nil {
		return err
	}
	if err := l.openCheckpoints(ctx); err != nil {
		return err
	}
	if l.tree, err = openTree(filepath.Join(l.cfg.Dir, fileTree)); err != nil {
		return err
	}
	if err := l.reconcile(ctx); err != nil {
		return err
	}
	if err := l.recover(ctx, file); err != nil {
		return fmt.Errorf("closing what was interrupted: %w", err)
	}
	return nil
}

// Begin opens a record: when it returns nil, the record cannot be lost to a killed process any more, and what it
// stands for may run. It takes about a microsecond and does not wait for the store. A full table is Unavailable, a
// second record of the same id Conflict; in both cases nothing may run.
func (l *Log) Begin(r *casemate.Record) error {
	if !entry.ValidID(r.ID) {
		return casemate.Errorf(casemate.Invalid, "use a UUID", "a record needs an id of 1 to 128 letters, digits, '-', '_', '.' or '#'")
	}
	if l.debt.some() {
		return l.stuck()
	}
	return l.table.take(r, l.last.Load())
}

// Renew has the opening of r tell what is known by now: the function, and what was held for it. It survives what Begin's
// does, costs as much and refuses for the same reasons.
func (l *Log) Renew(r *casemate.Record) error { return l.table.renew(r, l.last.Load()) }

// End closes r as far as w asks, whether or not ctx is still alive, for at most 15 s. Closing twice, or what was never
// opened, is Conflict. After any other error the caller must answer Unavailable and not with the result; the log goes on
// trying to write the record by itself, and until it has, nothing begins.
func (l *Log) End(ctx context.Context, r *casemate.Record, w casemate.Wait) error {
	s, err := l.table.hold(r.ID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	floor := l.last.Load()
	if _, err := l.append(ctx, r, w); err != nil {
		l.debt.add(owing{record: *r, slot: s, floor: floor})
		return &casemate.Error{Code: casemate.Unavailable, Message: "the record of this event cannot be written",
			Hint: "the operator should look at the store's disk; free space if it is full", Retry: 5, Err: err}
	}
	l.table.release(r.ID, s)
	return nil
}

// keepText is the most that is kept of a record's text, in bytes, for the next one.
const keepText = 64 << 10

func (l *Log) append(ctx context.Context, r *casemate.Record, w casemate.Wait) (uint64, error) {
	text, ok := l.texts.Get().(*[]byte)
	if !ok {
		text = new([]byte)
	}
	data := entry.Append((*text)[:0], r)
	defer func() {
		if *text = data; cap(data) <= keepText {
			l.texts.Put(text)
		}
	}()
	seq, err := l.records.Append(ctx, data, w)
	if err != nil {
		return 0, err
	}
	if do := l.observe.Load(); do != nil {
		(*do)(seq, r)
	}
	raise(&l.last, seq)
	if w == casemate.Durable {
		raise(&l.durable, seq)
	}
	if l.cache.put(seq, tlog.RecordHash(data)) >= l.cfg.Every {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return seq, nil
}

// Observe has do called with every record from now on, as soon as it is written, with its sequence; calls may come out
// of order and at once. do must be quick and must not keep r. A second Observe replaces the first.
func (l *Log) Observe(do func(seq uint64, r *casemate.Record)) { l.observe.Store(&do) }

func raise(a *atomic.Uint64, to uint64) {
	for is := a.Load(); is < to && !a.CompareAndSwap(is, to); is = a.Load() {
	}
}

// State is the log's own account of itself, for posture and metrics.
type State struct {
	Records  uint64     `json:"records"`   // known to be in the stream
	InFlight int        `json:"in_flight"` // opened, not closed
	Slots    int        `json:"slots"`
	Newest   Checkpoint `json:"newest"`
	Trouble  string     `json:"trouble,omitempty"` // why sealing fails, while it does
}

// State reads the account. It may wait for a sealing that is under way.
func (l *Log) State() State {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	s := State{Records: l.last.Load(), InFlight: l.table.inFlight(), Slots: l.cfg.Slots, Newest: l.newest}
	if l.trouble != nil {
		s.Trouble = l.trouble.Error()
	}
	return s
}

// PublicKey is what verifiers need, "<origin>+<hash>+<base64>" (https://pkg.go.dev/golang.org/x/mod/sumdb/note).
func (l *Log) PublicKey() string { return l.public }

// Close seals what is there, stops the sealer and gives the folder back. Records still in flight stay in the table and
// become "interrupted" at the next Open. The store must still be open.
func (l *Log) Close() error {
	l.cancel()
	<-l.done
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	paid := l.pay(ctx)
	_, err := l.Seal(ctx)
	return errors.Join(paid, err, l.shut())
}

func (l *Log) shut() error {
	var errs []error
	if l.table != nil {
		errs = append(errs, l.table.close())
	}
	l.sealing.Lock()
	defer l.sealing.Unlock()
	if l.tree != nil {
		errs = append(errs, l.tree.close())
	}
	if l.copy != nil {
		errs = append(errs, l.copy.Close())
	}
	return errors.Join(errs...)
}
