package node

import (
	"context"
	"fmt"
	"time"

	"casemate"
)

// BillQuestion asks for the bill of a month.
type BillQuestion struct {
	Month string `json:"month"` // 2026-05
	By    string `json:"by"`
}

// BookAnswer is a price book with its text.
type BookAnswer struct {
	Digest   string      `json:"digest"`
	Currency string      `json:"currency"`
	InForce  bool        `json:"in_force"`
	Text     string      `json:"text"`
	Lines    [][2]string `json:"lines"`
}

func (n *node) billBuiltins() map[string]builtin {
	purse := n.purse.Load()
	return map[string]builtin{
		"prices": question("casemate:ReadPrices", "price", func(ctx context.Context, _ *casemate.Launch, _ struct{}) (any, error) {
			books, err := purse.Books(ctx)
			out := []BookAnswer{}
			for _, b := range books {
				out = append(out, BookAnswer{b.Digest, b.Currency, b.Digest == purse.Book().Digest, b.Text, b.Lines()})
			}
			return out, err
		}),
		"bill": question("casemate:ReadBill", "bill", func(ctx context.Context, _ *casemate.Launch, q BillQuestion) (any, error) {
			from, until, err := Month(q.Month)
			if err != nil {
				return nil, err
			}
			return purse.Bill(ctx, from, until, q.By)
		}),
	}
}

// Month reads 2026-05; empty is this month, in UTC.
func Month(s string) (from, until time.Time, err error) {
	from, err = time.Parse("2006-01", s)
	if s == "" {
		from, err = time.Parse("2006-01", time.Now().UTC().Format("2006-01"))
	}
	if err != nil {
		return from, until, &casemate.Error{Code: casemate.Invalid, Field: "--month", Message: fmt.Sprintf("%.20q is no month", s), Hint: "2026-05"}
	}
	return from, from.AddDate(0, 1, 0), nil
}
