package price

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// Recount is the bill once more, from the lines of an export and the texts of the price books, and by nothing of what made
// the first: its own reading of both, and fractions instead of integers. It is what `casemate bill --file` trusts.
type Recount struct {
	Records int64    `json:"records"`
	Charged string   `json:"charged"` // in billionths
	Wrong   []string `json:"wrong"`   // records whose own cost is another one; at most ten
}

type exported struct {
	Record *struct {
		ID      string    `json:"id"`
		Source  string    `json:"source"`
		Action  string    `json:"action"`
		App     string    `json:"app"`
		Func    string    `json:"function"`
		Opened  time.Time `json:"opened"`
		Held    int64     `json:"held"`
		Cost    int64     `json:"cost"`
		Book    string    `json:"book"`
		Outcome struct {
			Status string `json:"status"`
		} `json:"outcome"`
		Usage map[string]json.RawMessage `json:"usage"`
	} `json:"record"`
}

// Again reckons the records of an export that were opened from from to until. books are texts, by their digests.
func Again(lines io.Reader, books map[string]string, from, until time.Time) (*Recount, error) {
	sheets, out, sum := map[string]map[string]any{}, &Recount{Wrong: []string{}}, new(big.Int)
	in := bufio.NewScanner(lines)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		var x exported
		if err := json.Unmarshal(in.Bytes(), &x); err != nil {
			return nil, fmt.Errorf("reading an export: %w", err)
		}
		r := x.Record
		if r == nil || r.Opened.Before(from) || !r.Opened.Before(until) || r.Book == "" && r.Cost == 0 {
			continue
		}
		if sheets[r.Book] == nil {
			text, ok := books[r.Book]
			if !ok {
				return nil, fmt.Errorf("record %s was priced by a book that is not here: %.40q", r.ID, r.Book)
			}
			s := map[string]any{}
			if err := yaml.Load([]byte(text), &s); err != nil {
				return nil, err
			}
			sheets[r.Book] = s
		}
		cost := x.reckon(sheets[r.Book])
		if cost.Sign() > 0 {
			out.Records++
		}
		if sum.Add(sum, cost); cost.Cmp(big.NewInt(r.Cost)) != 0 && len(out.Wrong) < 10 {
			out.Wrong = append(out.Wrong, r.ID)
		}
	}
	out.Charged = sum.String()
	return out, in.Err()
}

func (x *exported) reckon(sheet map[string]any) *big.Int {
	r := x.Record
	n := func(key string) *big.Rat {
		v, ok := new(big.Rat).SetString(string(r.Usage[key]))
		if !ok || v.Sign() < 0 {
			return new(big.Rat)
		}
		return v
	}
	by := func(v *big.Rat, d int64) *big.Rat { return new(big.Rat).Quo(v, big.NewRat(d, 1)) }
	up := func(v *big.Rat, d int64) *big.Rat { return new(big.Rat).SetInt(ceiling(by(v, d))) }
	cost := new(big.Int)
	add := func(line any, units *big.Rat) {
		cost.Add(cost, ceiling(new(big.Rat).Mul(units, perUnit(line))))
	}
	wall, memory := n("wall_ns"), n("memory_mb")
	switch {
	case r.Outcome.Status == "interrupted":
		return big.NewInt(r.Held)
	case r.Source == "node" && r.Action == "casemate:Standing":
		add(sheet["provisioned_gb_seconds"], by(new(big.Rat).Mul(memory, up(wall, 1e6)), 1024*1000))
		add(sheet["storage_gb_months"], by(new(big.Rat).Mul(up(n("in_bytes"), 1<<20), up(wall, 60e9)), 1024*60*730))
	case r.Source == "node" || wall.Sign() == 0 || r.App == "casemate" && r.Source == "admin":
	case r.App == "casemate":
		ops, _ := sheet["operations"].(map[string]any)
		line, ok := ops[r.Func]
		if !ok {
			line = ops["default"]
		}
		add(line, big.NewRat(1, 1))
	default:
		if wall.Sub(wall, n("shared_ns")); wall.Sign() < 0 {
			wall = new(big.Rat)
		}
		add(sheet["requests"], big.NewRat(1, 1))
		add(sheet["gb_seconds"], by(new(big.Rat).Mul(memory, up(wall, 1e6)), 1024*1000))
		add(sheet["cpu_seconds"], by(up(n("cpu_ns"), 1e6), 1000))
		add(sheet["egress_gb"], by(n("sent_bytes"), 1<<30))
		add(sheet["ingress_gb"], by(n("received_bytes"), 1<<30))
		add(sheet["answers_gb"], by(n("out_bytes"), 1<<30))
	}
	if held := big.NewInt(r.Held); r.Held > 0 && cost.Cmp(held) > 0 {
		return held
	}
	return cost
}

// perUnit is the dearest price of one unit on a line, in billionths.
func perUnit(line any) *big.Rat {
	l, _ := line.(map[string]any)
	top := new(big.Rat)
	prices := []any{l["price"]}
	tiers, _ := l["tiers"].([]any)
	for _, t := range tiers {
		m, _ := t.(map[string]any)
		prices = append(prices, m["price"])
	}
	for _, p := range slices.DeleteFunc(prices, func(p any) bool { return p == nil }) {
		if v, ok := new(big.Rat).SetString(fmt.Sprint(p)); ok && v.Cmp(top) > 0 {
			top = v
		}
	}
	top = new(big.Rat).Mul(top, big.NewRat(1e9, 1))
	if per, ok := new(big.Rat).SetString(fmt.Sprint(l["per"])); ok && per.Sign() > 0 {
		top.Quo(top, per)
	}
	return top
}

func ceiling(v *big.Rat) *big.Int {
	q, m := new(big.Int).DivMod(v.Num(), v.Denom(), new(big.Int))
	if m.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}
