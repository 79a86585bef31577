package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate"
)

// Budget is a ceiling in money on what this app spends.
type Budget struct {
	For    string `key:"for" need:"" like:"^(app|(function|caller|key|role|tag)/[!-~]{1,256})$" doc:"What it is for: app, function/price, caller/*, key/*, role/clerk or tag/team=web; with * each has its own. Other apps' spending does not count."`
	Amount string `key:"amount" need:"" like:"^[0-9]{1,10}(\\.[0-9]{1,9})?( [A-Z]{3})?$" doc:"Amount in the currency of the node's price book: \"5.00\" or \"5.00 USD\"."`
	Per    string `key:"per" need:"" one:"day month total" doc:"Span of time, in UTC, after which it starts anew."`
	Kind   string `key:"kind" one:"hard soft" doc:"hard: what could pass it is refused with 429 (default). soft: it is noted, and nothing refused."`
}

// Ceilings are the manifest's budgets as the node keeps them.
func (m *Manifest) Ceilings() ([]casemate.Budget, error) {
	var out []casemate.Budget
	for i, b := range m.Budgets {
		amount, currency, err := casemate.ParseAmount(b.Amount)
		if err != nil {
			return nil, err
		}
		x := casemate.Budget{App: m.App, For: b.For, Per: b.Per, Amount: amount, Currency: currency, Soft: b.Kind == "soft",
			Origin: fmt.Sprintf("%s:%d", m.name, m.At(fmt.Sprintf("/budgets/%d", i)).Line)}
		if b.For == "app" {
			x.For = "app/" + m.App
		}
		out = append(out, x)
	}
	return out, nil
}

// budgets holds each against what a manifest may say, and against what is in it.
func (c *checker) budgets() {
	for _, p := range c.found.List {
		if strings.HasPrefix(p.Path, "/budgets") {
			return
		}
	}
	list, err := c.Ceilings()
	if err != nil {
		c.bad("/budgets", casemate.AsError(err).Hint, "%s", err)
	}
	seen := map[string]bool{}
	for i := range list {
		b, ptr := &list[i], fmt.Sprintf("/budgets/%d", i)
		if err := b.Check(); err != nil {
			c.bad(ptr, casemate.AsError(err).Hint, "%s", casemate.AsError(err).Message)
		}
		if seen[b.ID()] {
			c.bad(ptr, "keep one of them", "%s has a budget per %s already", b.For, b.Per)
		}
		seen[b.ID()] = true
		kind, name := b.Scope()
		if kind == "function" && name != "*" && c.Functions[name] == nil {
			c.bad(ptr+"/for", meant(name, slices.Sorted(maps.Keys(c.Functions))), "there is no function %q in this app", name)
		}
		if kind == "role" && name != "*" && c.Roles[name] == nil && !strings.Contains(name, "/") {
			c.warn(ptr+"/for", "", "the role %s is none of this app's", name)
		}
	}
}
