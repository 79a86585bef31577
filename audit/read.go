package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"casemate"
	"casemate/audit/entry"
)

// Entry is one record as it is stored. Raw is what was sealed, byte for byte.
type Entry struct {
	Seq    uint64          `json:"seq"`
	At     time.Time       `json:"at"` // when the store took it
	Raw    []byte          `json:"-"`
	Record casemate.Record `json:"record"`
}

// Filter chooses records. Every field that is set must hold; the zero Filter takes all but those that the log writes
// about itself (ActionSeal), which must be asked for.
type Filter struct {
	From, Until time.Time // of Opened: From <= Opened < Until
	Function    string
	Principal   string
	Route       string
	Chain       string
	Event       string
	Action      string
	Source      casemate.Source
	Status      string         // Outcome.Status
	Code        *casemate.Code // of records that are not OK
	After       uint64         // only records with a greater Seq
	Before      uint64         // only records with a smaller Seq, when not 0
	Newest      bool           // newest first; otherwise oldest first
	Limit       int            // default 100, at most 10,000
}

// marks are byte strings that every matching record must contain: a cheap sieve before anything is decoded.
func (f *Filter) marks() [][]byte {
	var ms [][]byte
	for _, s := range [...]string{f.Function, f.Principal, f.Route, f.Chain, f.Event, f.Action, string(f.Source), f.Status} {
		if s != "" {
			ms = append(ms, entry.AppendText(nil, s))
		}
	}
	if f.Code != nil {
		ms = append(ms, entry.AppendText(nil, f.Code.String()))
	}
	return ms
}

func (f *Filter) match(r *casemate.Record) bool {
	same := func(want, is string) bool { return want == "" || want == is }
	return (r.Action != ActionSeal || f.Action == ActionSeal) && same(f.Function, r.Function) && same(f.Principal, r.Principal) && same(f.Route, r.Route) &&
		same(f.Chain, r.Chain) && same(f.Event, r.Event) && same(f.Action, r.Action) &&
		same(string(f.Source), string(r.Source)) && same(f.Status, r.Outcome.Status) &&
		(f.Code == nil || !r.Outcome.OK && *f.Code == r.Outcome.Code) &&
		(f.From.IsZero() || !r.Opened.Before(f.From)) && (f.Until.IsZero() || r.Opened.Before(f.Until))
}

func decode(seq uint64, at time.Time, data []byte) (Entry, error) {
	e := Entry{Seq: seq, At: at, Raw: data}
	if err := json.Unmarshal(data, &e.Record); err != nil {
		return e, &Tampering{Kind: "edited", First: int64(seq), Last: int64(seq), Detail: "not a record: " + err.Error()}
	}
	return e, nil
}

// List returns the records that f chooses. It reads the stream from one end until Limit is reached,
// and decodes only what may match.
func (l *Log) List(ctx context.Context, f Filter) ([]Entry, error) {
	if f.Limit < 0 || f.Limit > 10000 {
		return nil, casemate.Errorf(casemate.Invalid, "ask for at most 10000 records at once", "limit %d is out of bounds", f.Limit)
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	last, err := l.records.Last(ctx)
	if err != nil {
		return nil, err
	}
	low, high := f.After+1, last // inclusive
	if f.Before > 0 {
		high = min(high, f.Before-1)
	}
	marks := f.marks()
	found := []Entry{}
	for low <= high && len(found) < f.Limit {
		n := min(batch, high-low+1)
		from := low
		if f.Newest {
			from = high - n + 1
			high = from - 1
		} else {
			low = from + n
		}
		part, err := l.scan(ctx, from, int(n), marks, &f)
		if err != nil {
			return nil, err
		}
		found = append(found, part...)
		if high == 0 {
			break
		}
	}
	return found[:min(len(found), f.Limit)], nil
}

// scan reads n records from sequence from on and returns those that f chooses, in f's order.
func (l *Log) scan(ctx context.Context, from uint64, n int, marks [][]byte, f *Filter) ([]Entry, error) {
	ms, err := l.records.Read(ctx, from, n)
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	var found []Entry
next:
	for i := range ms {
		m := &ms[i]
		if f.Newest {
			m = &ms[len(ms)-1-i]
		}
		for _, mark := range marks {
			if !bytes.Contains(m.Data, mark) {
				continue next
			}
		}
		e, err := decode(m.Seq, m.At, m.Data)
		if err != nil {
			return nil, err
		}
		if f.match(&e.Record) {
			found = append(found, e)
		}
	}
	return found, nil
}

// Show returns the newest record of this id. It searches from the end, without an index.
func (l *Log) Show(ctx context.Context, id string) (Entry, error) {
	missing := casemate.Errorf(casemate.NotFound, "casemate audit list shows the ids", "no record %q", entry.Clip(id))
	if id == "" {
		return Entry{}, missing
	}
	last, err := l.records.Last(ctx)
	if err != nil {
		return Entry{}, err
	}
	mark := append([]byte(`{"id":`), entry.AppendText(nil, id)...)
	for last > 0 {
		from := uint64(1)
		if last > batch {
			from = last - batch + 1
		}
		ms, err := l.records.Read(ctx, from, int(last-from+1))
		if err != nil {
			return Entry{}, fmt.Errorf("reading records: %w", err)
		}
		for i := len(ms) - 1; i >= 0; i-- {
			if bytes.HasPrefix(ms[i].Data, mark) {
				return decode(ms[i].Seq, ms[i].At, ms[i].Data)
			}
		}
		last = from - 1
	}
	return Entry{}, missing
}

// Follow calls do with every record from sequence from on, waiting for new ones, until ctx ends or do fails; it returns
// that error.
func (l *Log) Follow(ctx context.Context, from uint64, do func(Entry) error) error {
	for from = max(from, 1); ; {
		if err := l.records.Wait(ctx, from); err != nil {
			return err
		}
		next, err := l.each(ctx, from, do)
		if err != nil {
			return err
		}
		from = next
	}
}

// Each calls do with every record from sequence from on that exists now.
func (l *Log) Each(ctx context.Context, from uint64, do func(Entry) error) error {
	for from = max(from, 1); ; {
		next, err := l.each(ctx, from, do)
		if err != nil || next == from {
			return err
		}
		from = next
	}
}

// Records is Each for those who need no more than sequence and record.
func (l *Log) Records(ctx context.Context, from uint64, do func(seq uint64, r *casemate.Record) error) error {
	return l.Each(ctx, from, func(e Entry) error { return do(e.Seq, &e.Record) })
}

func (l *Log) each(ctx context.Context, from uint64, do func(Entry) error) (uint64, error) {
	ms, err := l.records.Read(ctx, from, batch)
	if err != nil {
		return from, fmt.Errorf("reading records: %w", err)
	}
	for _, m := range ms {
		e, err := decode(m.Seq, m.At, m.Data)
		if err == nil {
			err = do(e)
		}
		if err != nil {
			return from, err
		}
		from = m.Seq + 1
	}
	return from, nil
}
