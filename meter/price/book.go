package price

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // the default book
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"casemate"
)

// Item is a thing that has a price.
type Item int

// The items. Operations of services have prices of their own, by name.
const (
	Requests Item = iota
	Memory
	CPU
	Egress
	Ingress
	Answers
	Provisioned
	Storage
	Items // how many there are
)

// names as they stand in a book, and how many of the integers that a Quantity counts make one unit of the price.
var names = [Items]string{"requests", "gb_seconds", "cpu_seconds", "egress_gb", "ingress_gb", "answers_gb", "provisioned_gb_seconds", "storage_gb_months"}

var scales = [Items]int64{1, 1024 * 1000, 1000, 1 << 30, 1 << 30, 1 << 30, 1024 * 1000, 1024 * 730 * 60}

// String is the item's key in a book.
func (i Item) String() string {
	if i >= 0 && i < Items {
		return names[i]
	}
	return "operations"
}

// Scale is how many of the integers that a Quantity counts make one unit.
func (i Item) Scale() int64 {
	if i >= 0 && i < Items {
		return scales[i]
	}
	return 1
}

// maxPrice of one unit: with it no single record can cost more than an amount can hold.
const maxPrice = 100_000

// MaxBook is the largest book in bytes.
const MaxBook = 1 << 20

// sheet is a book as it is written.
type sheet struct {
	Currency    string          `yaml:"currency"`
	Requests    *line           `yaml:"requests"`
	Memory      *line           `yaml:"gb_seconds"`
	CPU         *line           `yaml:"cpu_seconds"`
	Egress      *line           `yaml:"egress_gb"`
	Ingress     *line           `yaml:"ingress_gb"`
	Answers     *line           `yaml:"answers_gb"`
	Operations  map[string]line `yaml:"operations"`
	Provisioned *line           `yaml:"provisioned_gb_seconds"`
	Storage     *line           `yaml:"storage_gb_months"`
}

type line struct {
	Price string `yaml:"price"`
	Per   int64  `yaml:"per"`
	Free  int64  `yaml:"free"`
	Tiers []tier `yaml:"tiers"`
}

type tier struct {
	UpTo  int64  `yaml:"upto"`
	Price string `yaml:"price"`
}

// Book is a price book in force. It is immutable.
type Book struct {
	Currency string
	Digest   string // of its text: 32 hex digits of its SHA-256
	Text     string
	items    [Items]rate
	ops      map[string]rate
}

// rate is what one item costs: num billionths for den of the integers that a Quantity counts, at the dearest tier.
type rate struct {
	num, den uint64
	steps    []step // what a month pays, cheapest quantity first; nil: the one price throughout
}

// step is a price that holds up to a quantity of the month, 0: without end.
type step struct {
	upto int64
	each *big.Rat // billionths for one
}

//go:embed default.yaml
var defaultBook []byte

// Default is the book that is part of the program.
func Default() (*Book, error) { return Parse(defaultBook) }

// Parse reads a book, strictly: an unknown key, a price that is no plain decimal, tiers out of order are errors. An item that
// is not in it costs nothing.
func Parse(text []byte) (*Book, error) {
	if len(text) > MaxBook {
		return nil, wrong("", "it is larger than %d bytes", MaxBook)
	}
	var s sheet
	if err := yaml.Load(text, &s, yaml.WithKnownFields()); err != nil {
		return nil, wrong("", "%s", strings.TrimSpace(err.Error()))
	}
	if len(s.Currency) != 3 || strings.Trim(s.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return nil, wrong("currency", "%.20q is no currency code of three capitals", s.Currency)
	}
	sum := sha256.Sum256(text)
	b := &Book{Currency: s.Currency, Digest: hex.EncodeToString(sum[:16]), Text: string(text), ops: map[string]rate{}}
	for i, l := range [Items]*line{s.Requests, s.Memory, s.CPU, s.Egress, s.Ingress, s.Answers, s.Provisioned, s.Storage} {
		if l == nil {
			l = &line{Price: "0"}
		}
		var err error
		if b.items[i], err = l.rate(scales[i]); err != nil {
			return nil, wrong(names[i], "%s", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Operations)) {
		l := s.Operations[name]
		r, err := l.rate(1)
		if err == nil && (l.Free != 0 || len(l.Tiers) > 0) {
			err = fmt.Errorf("an operation has one price: neither tiers nor a free quantity")
		}
		if err != nil {
			return nil, wrong("operations."+name, "%s", err)
		}
		b.ops[name] = r
	}
	return b, nil
}

func wrong(field, format string, args ...any) error {
	e := casemate.Errorf(casemate.Invalid, "casemate prices --default prints one that is right", "price book: "+format, args...)
	e.Field = field
	return e
}

// rate reads one line of a book.
func (l *line) rate(scale int64) (rate, error) {
	per := cmp.Or(l.Per, 1)
	if per < 1 || l.Free < 0 || per > math.MaxInt64/scale || l.Free > math.MaxInt64/scale {
		return rate{}, fmt.Errorf("per and free are positive, and not that large")
	}
	if (l.Price == "") == (len(l.Tiers) == 0) {
		return rate{}, fmt.Errorf("either a price or tiers are wanted")
	}
	tiers := l.Tiers
	if len(tiers) == 0 {
		tiers = []tier{{Price: l.Price}}
	}
	steps, free := []step{}, l.Free*scale
	if free > 0 {
		steps = append(steps, step{free, new(big.Rat)})
	}
	top := new(big.Rat)
	for i, t := range tiers {
		each, err := decimal(t.Price)
		if err != nil {
			return rate{}, err
		}
		if new(big.Rat).Quo(each, big.NewRat(per, 1)).Cmp(big.NewRat(maxPrice, 1)) > 0 {
			return rate{}, fmt.Errorf("more than %d for one", maxPrice)
		}
		last := i == len(tiers)-1
		if last != (t.UpTo == 0) || t.UpTo < 0 || t.UpTo > math.MaxInt64/scale || !last && t.UpTo*scale <= free || i > 0 && !last && t.UpTo <= tiers[i-1].UpTo {
			return rate{}, fmt.Errorf("tiers go up, past what is free, and the last one has no upto")
		}
		each.Mul(each, big.NewRat(int64(casemate.Unit), 1))
		each.Quo(each, new(big.Rat).SetInt(new(big.Int).Mul(big.NewInt(per), big.NewInt(scale))))
		if each.Cmp(top) > 0 {
			top = each
		}
		steps = append(steps, step{t.UpTo * scale, each})
	}
	if !top.Num().IsUint64() || !top.Denom().IsUint64() {
		return rate{}, fmt.Errorf("the price has too many digits")
	}
	r := rate{num: top.Num().Uint64(), den: top.Denom().Uint64()}
	if len(steps) > 1 {
		r.steps = steps
	}
	return r, nil
}

// decimal reads a price: digits with at most 18 after the point.
func decimal(s string) (*big.Rat, error) {
	whole, part, dot := strings.Cut(s, ".")
	ok := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	if !ok(whole) || dot && !ok(part) || len(whole) > 12 || len(part) > 18 {
		return nil, fmt.Errorf(`%.40q is no price: write it as "0.20", in quotes`, s)
	}
	r, good := new(big.Rat).SetString(s)
	if !good {
		return nil, fmt.Errorf("%.40q is no price", s)
	}
	return r, nil
}

// charge is the price of q, rounded up to a billionth; ok is false where it cannot be held.
func (r *rate) charge(q int64) (m casemate.Money, ok bool) {
	if q <= 0 || r.num == 0 {
		return 0, q >= 0
	}
	high, low := bits.Mul64(uint64(q), r.num)
	if high >= r.den {
		return 0, false
	}
	n, rest := bits.Div64(high, low, r.den)
	if rest > 0 {
		n++
	}
	return casemate.Money(n), n <= math.MaxInt64
}
