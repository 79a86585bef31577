package meter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"casemate"
	"casemate/internal/keeper"
	"casemate/store"
)

const (
	bucket     = "usage"
	keyCounted = "counted" // number of the last record that all stored rows hold
	writers    = 16        // rows on their way to the store at once: they share commits
)

// MaxDays is how many days a Filter reaches over at most.
const MaxDays = 400

// Reader calls do with every record of the audit log from number from on, in order and without gaps, to its present end.
type Reader func(ctx context.Context, from uint64, do func(seq uint64, r *casemate.Record) error) error

// Config says where the figures live and where they come from. Store and Read are needed.
type Config struct {
	Store    store.Store
	Read     Reader
	Interval time.Duration // between writes; default 5 s
	Clock    func() time.Time
	Log      *slog.Logger
}

// Meter is open. All methods may be called concurrently.
type Meter struct {
	cfg    Config
	kv     store.KV
	table  *table
	work   sync.Mutex // one settling at a time
	keeper *keeper.Keeper
}

// Open takes the stored figures up, counts the records that were closed since (all of them, after a kill -9 too), and
// starts the goroutine that writes.
func Open(ctx context.Context, cfg Config) (*Meter, error) {
	if cfg.Store == nil || cfg.Read == nil {
		return nil, errors.New("opening meter: it needs a store and a reader of the audit log")
	}
	if cfg.Interval <= 0 {
		cfg.Interval = 5 * time.Second
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	kv, err := cfg.Store.KV(bucket)
	if err != nil {
		return nil, fmt.Errorf("opening meter: %w", err)
	}
	m := &Meter{cfg: cfg, kv: kv}
	var counted uint64
	switch e, err := kv.Get(ctx, keyCounted); {
	case err == nil:
		if err := json.Unmarshal(e.Value, &counted); err != nil {
			return nil, fmt.Errorf("opening meter: stored position: %w", err)
		}
	case casemate.CodeOf(err) != casemate.NotFound:
		return nil, fmt.Errorf("opening meter: %w", err)
	}
	m.table = newTable(counted)
	if err := m.settle(ctx); err != nil {
		return nil, fmt.Errorf("opening meter: %w", err)
	}
	m.keeper = keeper.Every(ctx, m.cfg.Interval, func(ctx context.Context) {
		if err := m.settle(ctx); err != nil && ctx.Err() == nil {
			m.cfg.Log.Warn("usage is not written", "err", err)
		}
	})
	return m, nil
}

// Count adds record number seq of the audit log. It is cheap and does no I/O; records may come out of order, twice or
// not at all: what is missing is read from the log.
func (m *Meter) Count(seq uint64, r *casemate.Record) { m.table.offer(seq, r) }

// settle counts what is missing and stores every changed row, then the position. Each row says up to which record it
// counts, so that dying in between neither loses nor doubles anything.
func (m *Meter) settle(ctx context.Context) error {
	m.work.Lock()
	defer m.work.Unlock()
	if err := m.catchUp(ctx); err != nil {
		return err
	}
	if err := m.expect(ctx); err != nil {
		return err
	}
	rows, counted := m.table.dirty()
	if len(rows) == 0 {
		return nil
	}
	if err := m.store(ctx, rows); err != nil {
		return err
	}
	if _, err := m.kv.Put(ctx, keyCounted, fmt.Append(nil, counted), store.AnyRevision); err != nil {
		return fmt.Errorf("storing position: %w", err)
	}
	m.table.forget(m.cfg.Clock().UTC().AddDate(0, 0, -1).Format(dayForm))
	return nil
}

func (m *Meter) catchUp(ctx context.Context) error {
	for day := m.table.wants(); day != ""; day = m.table.wants() {
		if err := m.load(ctx, day); err != nil {
			return err
		}
	}
	ahead := errors.New("what was offered is ahead of what was read")
	for {
		err := m.cfg.Read(ctx, m.table.next(), func(seq uint64, r *casemate.Record) error {
			d := delta(r)
			if !m.table.holds(d.Day) {
				if err := m.load(ctx, d.Day); err != nil {
					return err
				}
			}
			if !m.table.fill(seq, &d) {
				return ahead
			}
			return nil
		})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, ahead):
			return fmt.Errorf("reading the audit log: %w", err)
		}
	}
}

// expect loads the days of the records that are about to come: those of a day that is not loaded wait, and where too many
// do they are read from the log again, at ten times the cost.
func (m *Meter) expect(ctx context.Context) error {
	now := m.cfg.Clock().UTC()
	for _, t := range [...]time.Time{now, now.Add(2 * m.cfg.Interval)} {
		if day := t.Format(dayForm); !m.table.holds(day) {
			if err := m.load(ctx, day); err != nil {
				return err
			}
		}
	}
	return nil
}

// storedRow is a row in the store.
type storedRow struct {
	Row
	Upto uint64 `json:"upto"`
}

func (m *Meter) load(ctx context.Context, day string) error {
	cells, err := m.read(ctx, day)
	if err == nil {
		m.table.loaded(day, cells)
	}
	return err
}

func (m *Meter) read(ctx context.Context, day string) ([]*cell, error) {
	es, err := m.kv.List(ctx, day+"/")
	if err != nil {
		return nil, fmt.Errorf("reading usage of %s: %w", day, err)
	}
	cells := make([]*cell, 0, len(es))
	for _, e := range es {
		var s storedRow
		if err := json.Unmarshal(e.Value, &s); err != nil || s.name() != e.Key {
			return nil, fmt.Errorf("reading usage %s: malformed (%w)", e.Key, err)
		}
		cells = append(cells, &cell{Row: s.Row, upto: s.Upto})
	}
	return cells, nil
}

// store puts rows concurrently, so that they share the store's commits.
func (m *Meter) store(ctx context.Context, rows []*cell) error {
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := w; i < len(rows); i += writers {
				c := rows[i]
				value, err := json.Marshal(storedRow{Row: c.Row, Upto: c.upto})
				if err == nil {
					_, err = m.kv.Put(ctx, c.name(), value, store.AnyRevision)
				}
				if err != nil {
					m.table.redo(c)
					errs[w] = fmt.Errorf("storing usage: %w", err)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Usage returns the figures that f chooses, those of the last moments included.
func (m *Meter) Usage(ctx context.Context, f Filter) ([]Row, error) {
	if f.Until.IsZero() {
		f.Until = m.cfg.Clock()
	}
	if f.From.IsZero() {
		f.From = f.Until
	}
	first, last := f.From.UTC().Truncate(24*time.Hour), f.Until.UTC().Truncate(24*time.Hour)
	if days := last.Sub(first) / (24 * time.Hour); days < 0 || days >= MaxDays {
		return nil, casemate.Errorf(casemate.Invalid, fmt.Sprintf("ask for at most %d days", MaxDays), "no such span of days")
	}
	m.work.Lock() // no row is between memory and store meanwhile
	defer m.work.Unlock()
	if err := m.catchUp(ctx); err != nil {
		return nil, err
	}
	var rows []Row
	for day := first; !day.After(last); day = day.AddDate(0, 0, 1) {
		name := day.Format(dayForm)
		held, ok := m.table.rows(name)
		if !ok {
			cells, err := m.read(ctx, name)
			if err != nil {
				return nil, err
			}
			for _, c := range cells {
				held = append(held, c.Row)
			}
		}
		rows = append(rows, held...)
	}
	return f.sum(rows), nil
}

// Recompute returns every row as the audit log alone gives it, sorted by day, function and principal.
func Recompute(ctx context.Context, read Reader) ([]Row, error) {
	t := newTable(0)
	err := read(ctx, 1, func(seq uint64, r *casemate.Record) error {
		d := delta(r)
		if !t.holds(d.Day) {
			t.loaded(d.Day, nil)
		}
		t.fill(seq, &d)
		return nil
	})
	var rows []Row
	for day := range t.days {
		part, _ := t.rows(day)
		rows = append(rows, part...)
	}
	slices.SortFunc(rows, byName)
	return rows, err
}

// Close writes what is pending. Store and audit log must still be open.
func (m *Meter) Close() error {
	m.keeper.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return m.settle(ctx)
}
