package casemate

import (
	"slices"
	"strings"
)

// Budget is a ceiling, in money, on what something may spend in a span of time.
type Budget struct {
	App      string `json:"app,omitempty"` // whose manifest says it: what other apps spend does not count. Empty: the operator's, for all
	For      string `json:"for"`           // "node", "account/000000000000", "app/shop", "function/price", "caller/<id>", "key/<id>", "role/<name>", "tag/team=web", "chain"; "caller/*": each on its own
	Per      string `json:"per"`           // day, month (UTC), total; of a chain: chain
	Amount   Money  `json:"amount"`
	Currency string `json:"currency,omitempty"` // that the amount is in; empty: the price book's
	Soft     bool   `json:"soft,omitempty"`     // past it is noted, and nothing refused
	Depth    int    `json:"depth,omitempty"`    // of a chain: calls from function to function at most; 0: MaxDepth
	Origin   string `json:"origin,omitempty"`   // where it is written: "casemate.yaml:12"
}

// Budgeted are the kinds of things that can have a budget.
func Budgeted() []string {
	return []string{"node", "account", "app", "function", "caller", "key", "role", "tag", "chain"}
}

// Scope splits For into its kind and its name; name "*" means each on its own.
func (b *Budget) Scope() (kind, name string) {
	kind, name, _ = strings.Cut(b.For, "/")
	return kind, name
}

// ID names the budget: one with the same ID takes its place and goes on with what was spent.
func (b *Budget) ID() string {
	id := b.For + " per " + b.Per
	if b.App != "" {
		id = b.App + ": " + id
	}
	if b.Soft {
		id += " (soft)"
	}
	return id
}

// Check refuses a budget that says nothing, or more than its writer may say.
func (b *Budget) Check() error {
	bad := func(field, hint, format string, args ...any) error {
		e := Errorf(Invalid, hint, format, args...)
		e.Field = field
		return e
	}
	kind, name := b.Scope()
	_, team, tag := strings.Cut(name, "=")
	const forms = "app/shop, function/price, caller/*, key/*, role/clerk, tag/team=web, account/000000000000, node, chain"
	switch {
	case !slices.Contains(Budgeted(), kind), len(b.For) > 300, strings.ContainsFunc(b.For, func(r rune) bool { return r <= ' ' || r == 0x7f || r > 0x7e }):
		return bad("for", forms, "%.60q names nothing that can have a budget", b.For)
	case (kind == "node" || kind == "chain") != (b.For == kind), kind != "node" && kind != "chain" && name == "", kind == "tag" && name != "*" && (!tag || team == ""):
		return bad("for", forms, "%.60q is not complete", b.For)
	case b.App != "" && (kind == "node" || kind == "chain" || kind == "account"):
		return bad("for", "casemate budget set "+b.For, "a manifest has no say over %s: that is the operator's", kind)
	case b.App != "" && kind == "app" && name != b.App:
		return bad("for", "app/"+b.App, "a manifest has no say over another app")
	case kind == "chain" && b.Per != "chain", kind != "chain" && !slices.Contains([]string{"day", "month", "total"}, b.Per):
		return bad("per", "day, month or total", "%.20q is no span of time", b.Per)
	case b.Amount < 0:
		return bad("amount", `write it as "5" or "0.25"`, "an amount is not negative")
	case kind == "chain" && b.Soft:
		return bad("for", "leave it hard", "what a causal chain may spend is a hard budget always")
	case b.Depth < 0, b.Depth > MaxDepth, b.Depth > 0 && kind != "chain":
		return bad("depth", "", "a chain's depth is from 1 to %d", MaxDepth)
	case b.Currency != "" && (len(b.Currency) != 3 || strings.Trim(b.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != ""):
		return bad("currency", "USD", "%.20q is no currency code of three capitals", b.Currency)
	}
	return nil
}

// ParseAmount reads "5.00" or "5.00 USD".
func ParseAmount(s string) (m Money, currency string, err error) {
	text, currency, said := strings.Cut(s, " ")
	if m, err = ParseMoney(text); err != nil {
		return 0, "", err
	}
	if said && (len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return 0, "", Errorf(Invalid, `write it as "5.00 USD"`, "%.20q is no currency code of three capitals", currency)
	}
	return m, currency, nil
}
