package meter

import (
	"sync"

	"casemate"
)

// key names a row within its day.
type key struct{ function, principal string }

// cell is a row in memory. upto says which records it is known to hold from the store: those up to that number are not
// added again.
type cell struct {
	Row
	upto  uint64
	dirty bool
}

// table adds records strictly in the order of the log: what it holds is at any moment the sum of records 1 to counted.
// Those that come early wait; when too many do they are dropped, and read from the log.
type table struct {
	mu      sync.Mutex
	counted uint64
	days    map[string]map[key]*cell // only days whose stored rows are loaded
	early   map[uint64]Row
}

// maxEarly bounds the records that wait for an earlier one.
const maxEarly = 4096

func newTable(counted uint64) *table {
	return &table{counted: counted, days: map[string]map[key]*cell{}, early: map[uint64]Row{}}
}

// offer counts record seq, now or when those before it have come. It never blocks on anything but the lock.
func (t *table) offer(seq uint64, r *casemate.Record) {
	d := delta(r)
	t.mu.Lock()
	defer t.mu.Unlock()
	if seq > t.counted && len(t.early) < maxEarly {
		t.early[seq] = d
		t.drain()
	}
}

// drain adds the early records that are next, as far as their days are loaded.
func (t *table) drain() {
	for {
		d, ok := t.early[t.counted+1]
		if !ok || !t.ready(d.Day) {
			return
		}
		delete(t.early, t.counted+1)
		t.add(t.counted+1, &d)
	}
}

// ready reports whether records of a day can be counted.
func (t *table) ready(day string) bool { return day == "" || t.days[day] != nil }

// add counts record seq, which must be the next one and of a loaded day.
func (t *table) add(seq uint64, d *Row) {
	t.counted = seq
	if d.Day == "" {
		return
	}
	day := t.days[d.Day]
	k := key{d.Function, d.Principal}
	c := day[k]
	if c == nil && len(day) >= maxRows {
		k.principal = Others
		c = day[k]
	}
	if c == nil {
		c = &cell{Row: Row{Day: d.Day, Function: k.function, Principal: k.principal}}
		day[k] = c
	}
	if seq > c.upto {
		c.add(&d.Counts)
		c.dirty = true
	}
}

// wants names a day that must be loaded before counting can go on, "" when there is none.
func (t *table) wants() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d, ok := t.early[t.counted+1]; ok && !t.ready(d.Day) {
		return d.Day
	}
	return ""
}

// loaded puts a day's stored rows in place.
func (t *table) loaded(day string, cells []*cell) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.days[day] != nil {
		return
	}
	m := make(map[key]*cell, len(cells))
	for _, c := range cells {
		m[key{c.Function, c.Principal}] = c
	}
	t.days[day] = m
	t.drain()
}

// next says which record is missing, and holds reports whether a day is loaded.
func (t *table) next() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counted + 1
}

func (t *table) holds(day string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready(day)
}

// fill counts record seq as read from the log; the day must be loaded. It reports false once what was offered is ahead
// of what is read, so that reading on would only read what is counted.
func (t *table) fill(seq uint64, d *Row) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.early, seq)
	if seq == t.counted+1 {
		t.add(seq, d)
	}
	t.drain()
	return t.counted <= seq
}

// dirty takes a copy of every changed row, all as of the record number returned.
func (t *table) dirty() ([]*cell, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*cell
	for _, day := range t.days {
		for _, c := range day {
			if c.dirty {
				c.dirty = false
				out = append(out, &cell{Row: c.Row, upto: t.counted})
			}
		}
	}
	return out, t.counted
}

// redo marks a row as changed again, after it could not be stored.
func (t *table) redo(c *cell) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.days[c.Day][key{c.Function, c.Principal}]; d != nil {
		d.dirty = true
	}
}

// forget drops the clean rows of days before keep.
func (t *table) forget(keep string) {
	t.mu.Lock()
	defer t.mu.Unlock()
days:
	for name, day := range t.days {
		if name >= keep {
			continue
		}
		for _, c := range day {
			if c.dirty {
				continue days
			}
		}
		delete(t.days, name)
	}
}

// rows copies the rows of a day, and says whether the day is loaded.
func (t *table) rows(day string) ([]Row, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := t.days[day]
	out := make([]Row, 0, len(m))
	for _, c := range m {
		out = append(out, c.Row)
	}
	return out, ok
}
