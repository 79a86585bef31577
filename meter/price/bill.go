package price

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"casemate"
)

// Bill is what a span of time costs, summed record by record. The zero Bill is not usable; see NewBill.
type Bill struct {
	From     time.Time      `json:"from"`  // of Record.Opened
	Until    time.Time      `json:"until"` // not included
	Currency string         `json:"currency"`
	Books    []string       `json:"books"` // digests, in the order they came into force
	By       string         `json:"by"`
	Lines    []Line         `json:"lines"` // by falling cost
	Items    []ItemLine     `json:"items"`
	Records  int64          `json:"records"`         // that cost something
	Charged  casemate.Money `json:"charged"`         // the sum of what each record cost
	Saved    casemate.Money `json:"saved"`           // what free quantities and tiers take off
	Total    casemate.Money `json:"total"`           // what is to be paid: Charged - Saved
	Wrong    []string       `json:"wrong,omitempty"` // records whose own cost is not what their usage comes to, at most ten

	book  func(digest string) *Book
	lines map[string]*Line
	used  map[string]*[Items]int64 // by book
	sums  [Items]int64
}

// Line is the cost of one function, key, account, tag or chain.
type Line struct {
	Name    string         `json:"name"`
	Records int64          `json:"records"`
	Cost    casemate.Money `json:"cost"`
}

// ItemLine is the quantity of one item, in the unit of the price book.
type ItemLine struct {
	Item     string         `json:"item"`
	Quantity float64        `json:"quantity"`
	Saved    casemate.Money `json:"saved"`
}

// Bys lists what the lines of a bill can be told apart by.
func Bys() []string {
	return []string{"function", "app", "caller", "key", "role", "account", "tag", "chain"}
}

// maxLines bounds the lines of a bill; what comes past them is one line of its own.
const (
	maxLines = 100_000
	others   = "(others)"
)

// NewBill begins a bill. book gives a book by its digest, nil where there is none.
func NewBill(from, until time.Time, by string, book func(digest string) *Book) (*Bill, error) {
	if !slices.Contains(Bys(), by) {
		e := casemate.Errorf(casemate.Invalid, strings.Join(Bys(), ", "), "%.40q is none of them", by)
		e.Field = "--by"
		return nil, e
	}
	if !from.Before(until) {
		return nil, casemate.Errorf(casemate.Invalid, "the end is after the beginning", "no such span of time")
	}
	return &Bill{From: from, Until: until, By: by, book: book, lines: map[string]*Line{}, used: map[string]*[Items]int64{}, Lines: []Line{}, Items: []ItemLine{}, Books: []string{}}, nil
}

// Add counts one record, when it is of the span. Records come in the order of the log.
func (b *Bill) Add(r *casemate.Record) error {
	if r.Opened.Before(b.From) || !r.Opened.Before(b.Until) || r.Cost == 0 && r.Book == "" {
		return nil
	}
	book := b.book(r.Book)
	if book == nil {
		return casemate.Errorf(casemate.NotFound, "casemate bill --prices FILE, with the book that was in force", "record %s was priced by a book that is not here: %.40q", r.ID, r.Book)
	}
	if b.Currency == "" {
		b.Currency = book.Currency
	}
	if b.Currency != book.Currency {
		return casemate.Errorf(casemate.Conflict, "bill a shorter span", "there are two currencies in this span: %s and %s", b.Currency, book.Currency)
	}
	if m, err := book.Cost(r); (err != nil || m != r.Cost) && len(b.Wrong) < 10 {
		b.Wrong = append(b.Wrong, r.ID)
	}
	if err := b.count(r); err != nil {
		return err
	}
	if r.Cost == 0 {
		return nil
	}
	b.Records++
	sum, ok := b.Charged.Plus(r.Cost)
	if !ok || r.Cost < 0 {
		return casemate.Errorf(casemate.Invalid, "bill a shorter span", "the sum is more than an amount can hold")
	}
	b.Charged = sum
	for _, name := range groups(r, b.By) {
		l := b.lines[name]
		if l == nil && len(b.lines) >= maxLines {
			name = others
			l = b.lines[name]
		}
		if l == nil {
			l = &Line{Name: name}
			b.lines[name] = l
		}
		l.Records++
		l.Cost += r.Cost
	}
	return nil
}

// count adds what a record used, and what that saves: each book goes on in its tiers where the one before it stopped.
func (b *Bill) count(r *casemate.Record) error {
	u := b.used[r.Book]
	if u == nil {
		u = new([Items]int64)
		b.used[r.Book] = u
		b.Books = append(b.Books, r.Book)
	}
	if r.Outcome.Status == "interrupted" {
		return nil
	}
	q := Used(r)
	for i, n := range q.Of {
		if n < 0 || b.sums[i]+n < b.sums[i] {
			return casemate.Errorf(casemate.Invalid, "bill a shorter span", "the sum of %s is more than can be held", Item(i))
		}
		u[i] += n
		b.sums[i] += n
	}
	return nil
}

// groups are the names that a record stands under.
func groups(r *casemate.Record, by string) []string {
	one := func(s string) []string { return []string{cmp.Or(s, "-")} }
	switch by {
	case "app":
		return one(r.App)
	case "caller":
		return one(r.Principal)
	case "key":
		return one(r.Key)
	case "role":
		return one(r.Role)
	case "account":
		return one(Account(r.Resource))
	case "chain":
		return one(r.Chain)
	case "tag":
		if len(r.Tags) > 0 {
			return r.Tags
		}
		return one("")
	}
	return one(r.Function)
}

// Account is the account of an ARN, empty when it is none: the fifth of its six parts.
func Account(arn string) string {
	part, rest := "", arn
	for range 5 {
		var more bool
		if part, rest, more = strings.Cut(rest, ":"); !more {
			return ""
		}
	}
	return part
}

// Close reckons what comes off and sorts the lines.
func (b *Bill) Close() *Bill {
	var at [Items]int64
	for _, digest := range b.Books {
		book := b.book(digest)
		for i, n := range b.used[digest] {
			b.save(book, Item(i), at[i], at[i]+n)
			at[i] += n
		}
	}
	for _, l := range b.lines {
		b.Lines = append(b.Lines, *l)
	}
	slices.SortFunc(b.Lines, func(x, y Line) int { return cmp.Or(cmp.Compare(y.Cost, x.Cost), strings.Compare(x.Name, y.Name)) })
	b.Saved = min(b.Saved, b.Charged) // what was held caps what a record costs, not what it used
	b.Total = b.Charged - b.Saved
	return b
}

func (b *Bill) save(book *Book, i Item, from, to int64) {
	if to == from {
		return
	}
	saved := book.Saved(i, from, to)
	b.Saved += saved
	at := slices.IndexFunc(b.Items, func(l ItemLine) bool { return l.Item == i.String() })
	if at < 0 {
		at = len(b.Items)
		b.Items = append(b.Items, ItemLine{Item: i.String()})
	}
	b.Items[at].Quantity += float64(to-from) / float64(i.Scale())
	b.Items[at].Saved += saved
}
