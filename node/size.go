package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/meter"
)

// SizeQuestion asks about so many days back.
type SizeQuestion struct {
	Days     int    `json:"days"`
	Function string `json:"function,omitempty"`
}

func (n *node) sizeBuiltins() map[string]builtin {
	return map[string]builtin{
		"forecast": question("casemate:ReadBill", "bill", func(ctx context.Context, _ *casemate.Launch, _ struct{}) (any, error) {
			now := time.Now().UTC()
			rows, err := n.meter.Load().Usage(ctx, meter.Filter{From: now.AddDate(0, 0, -60), Until: now, PerDay: true})
			if err != nil {
				return nil, err
			}
			return meter.ForecastMonth(rows, now), nil
		}),
		"rightsize": question("casemate:ReadUsage", "usage", func(ctx context.Context, _ *casemate.Launch, q SizeQuestion) (any, error) {
			if q.Days < 1 || q.Days > 90 {
				return nil, &casemate.Error{Code: casemate.Invalid, Field: "--days", Message: "out of bounds", Hint: "1 to 90"}
			}
			var sizes meter.Sizes
			from := time.Now().AddDate(0, 0, -q.Days)
			err := n.purse.Load().Since(ctx, from, func(r *casemate.Record) error {
				if !r.Opened.Before(from) {
					sizes.Add(r)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			return n.sizes(&sizes, q.Function), nil
		}),
	}
}

// sizes are those of the versions in force.
func (n *node) sizes(s *meter.Sizes, only string) []meter.Size {
	snap, out := n.catalog.Snapshot(), []meter.Size{}
	for _, name := range snap.Apps() {
		app, _ := snap.App(name)
		for fn, f := range app.Functions {
			if only == "" || only == fn {
				out = append(out, s.Of(f.Number(f.Live), n.purse.Load().Book()))
			}
		}
	}
	slices.SortFunc(out, func(a, b meter.Size) int { return strings.Compare(a.Function, b.Function) })
	return out
}
