package catalog

import (
	"errors"
	"strings"
	"testing"

	"casemate"
	"casemate/store"
)

// A node comes up with apps that were deployed before a rule became stricter: it serves the others as they were, says what it
// left out, and takes the app again once it is deployed as today's rules want it.
func TestBootLeavesOutWhatTodaysRulesRefuse(t *testing.T) {
	for name, stricter := range map[string]func(*Config){
		"contract": func(c *Config) {
			of := c.Contract
			c.Contract = func(doc []byte, pointer, name string) (casemate.Contract, error) {
				if string(doc) == "lax" {
					return nil, errors.New("the document says nothing about additional members")
				}
				return of(doc, pointer, name)
			}
		},
		"policy": func(c *Config) {
			of := c.Compile
			c.Compile = func(p casemate.Policies) (casemate.Decider, error) {
				if len(p.Identity["old-clerk"]) > 0 {
					return nil, casemate.Errorf(casemate.Invalid, "name the actions", "a statement allows everything")
				}
				return of(p)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := store.Memory(clock)
			before := open(t, config(s))
			doc, _, err := s.Blobs().Put(t.Context(), strings.NewReader("lax"))
			if err != nil {
				t.Fatal(err)
			}
			old := app("old", 1, "GET /old")
			old.Routes[0].Contract = ContractID(doc, "")
			old.Roles["old-clerk"] = Role{Statements: []casemate.Statement{{Effect: casemate.Allow, Action: []string{"*"}, Resource: []string{"*"}}}}
			swap(t, before, app("fine", 1, "GET /fine"))
			swap(t, before, old)
			swap(t, before, app("zebra", 1, "GET /zebra"))

			cfg := config(s)
			stricter(&cfg)
			c := open(t, cfg)
			left := c.Snapshot().LeftOut()
			if len(left) != 1 || left[0].App != "old" || left[0].Why == "" || !strings.Contains(left[0].Hint, "casemate history old") {
				t.Fatalf("%+v", left)
			}
			for path, served := range map[string]bool{"/fine": true, "/zebra": true, "/old": false} {
				if _, err := c.Resolve(get("GET", path)); (err == nil) != served {
					t.Errorf("%s: %v", path, err)
				}
			}
			if c.Snapshot().HasRole("old-clerk") || len(c.History("old")) != 1 {
				t.Error("its role is in force, or its history is gone")
			}
			swap(t, c, app("zebra", 1, "GET /zebra2")) // what else is deployed keeps the note
			if len(c.Snapshot().LeftOut()) != 1 {
				t.Error("the note is lost")
			}
			swap(t, c, app("old", 1, "GET /old"))
			if len(c.Snapshot().LeftOut()) != 0 || len(c.History("old")) != 2 || len(open(t, cfg).Snapshot().LeftOut()) != 0 {
				t.Errorf("deployed again: %+v, history %+v", c.Snapshot().LeftOut(), c.History("old"))
			}
		})
	}
}

// What an app denies to everybody is not dropped because the app is refused; nor is the store's trouble a rule.
func TestBootDoesNotLeaveOutGuardrails(t *testing.T) {
	s := store.Memory(clock)
	before := open(t, config(s))
	doc, _, err := s.Blobs().Put(t.Context(), strings.NewReader("lax"))
	if err != nil {
		t.Fatal(err)
	}
	a := app("a", 1, "GET /a")
	a.Routes[0].Contract = ContractID(doc, "")
	a.Guardrails = []casemate.Statement{{Effect: casemate.Deny, Action: []string{"x:z"}, Resource: []string{"*"}}}
	swap(t, before, a)
	cfg := config(s)
	cfg.Contract = func([]byte, string, string) (casemate.Contract, error) { return nil, errors.New("refused") }
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "app a cannot be left out") {
		t.Errorf("%v", err)
	}
	other := store.Memory(clock)
	b := app("b", 1, "GET /b")
	if doc, _, err = other.Blobs().Put(t.Context(), strings.NewReader("gone")); err != nil {
		t.Fatal(err)
	}
	b.Routes[0].Contract = ContractID(doc, "")
	swap(t, open(t, config(other)), b)
	if err := other.Blobs().Delete(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), config(other)); err == nil {
		t.Error("a document that is gone is left out in silence")
	}
}
