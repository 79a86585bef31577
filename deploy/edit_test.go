package deploy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/catalog"
)

// added is an edit that makes a function.
func added(d *Deployer, name, digest, role string) func(*catalog.App) error {
	return func(a *catalog.App) error {
		v := &casemate.Version{App: a.Name, Function: name, Number: 1, Runtime: "wasm", ARN: d.cfg.Place.FunctionARN(name), Role: catalog.ExecutionRole(name), Account: d.cfg.Place.Account,
			Code: digest, Limits: casemate.DefaultLimits(), Isolation: casemate.IsolationRequest, Managed: &casemate.Managed{Draft: true}}
		a.Functions[name] = &catalog.Function{Live: 1, Versions: []*casemate.Version{v}, Managed: &catalog.Managed{Role: role}}
		a.Roles[catalog.ExecutionRole(name)] = catalog.Role{}
		return nil
	}
}

const module = "\x00asm\x01\x00\x00\x00"

// TestEdit: an edit makes an app, names versions, and takes the app away with its last function.
func TestEdit(t *testing.T) {
	d, st := deployer(t)
	digest, err := d.Keep(t.Context(), "wasm", []byte(module))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Edit(t.Context(), "lambda", "user/x", added(d, "f", digest, "")); err != nil {
		t.Fatal(err)
	}
	f, app := d.cfg.Catalog.Snapshot().Find("f")
	if app != "lambda" || len(f.Latest().ID) != 64 || f.Revision() == "" {
		t.Errorf("%+v of %s", f, app)
	}
	before := d.cfg.Catalog.Snapshot()
	refused := errors.New("no")
	for _, c := range []struct {
		what string
		edit func(*catalog.App) error
		want func(error) bool
	}{
		{"what the edit refuses", func(*catalog.App) error { return refused }, func(err error) bool { return errors.Is(err, refused) }},
		{"code that nobody stored", added(d, "g", strings.Repeat("0", 64), ""), func(err error) bool { return casemate.CodeOf(err) == casemate.NotFound }},
		{"a broken function", func(a *catalog.App) error { a.Functions["f"].Live = 7; return nil }, func(err error) bool { return casemate.CodeOf(err) == casemate.Invalid }},
	} {
		if err := d.Edit(t.Context(), "lambda", "user/x", c.edit); !c.want(err) || d.cfg.Catalog.Snapshot() != before {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if err := d.Edit(t.Context(), "other", "user/x", added(d, "f", digest, "")); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("a name that another app has: %v", err)
	}
	if err := d.For("lambda").Edit(t.Context(), "other", "user/x", added(d, "g", digest, "")); casemate.CodeOf(err) != casemate.Forbidden {
		t.Errorf("another app than was decided on: %v", err)
	}
	st.missing = "wasm"
	if err := d.Edit(t.Context(), "lambda", "user/x", added(d, "g", digest, "")); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a runtime that is missing: %v", err)
	}
	st.missing = ""
	if err := d.Edit(t.Context(), "lambda", "user/x", func(a *catalog.App) error {
		delete(a.Functions, "f")
		delete(a.Roles, "function/f")
		return nil
	}); err != nil || slices.Contains(d.cfg.Catalog.Snapshot().Apps(), "lambda") {
		t.Errorf("the last function is gone, and the app is there: %v", err)
	}
	if _, err := d.Keep(t.Context(), "wasm", []byte("no module")); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("code that cannot run is kept: %v", err)
	}
	if _, err := d.Keep(t.Context(), "python3.12", []byte("no zip")); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("code that is no zip is kept: %v", err)
	}
}

// TestAnEditIsMadeAgain: somebody else's change in between is built upon, not overwritten.
func TestAnEditIsMadeAgain(t *testing.T) {
	d, _ := deployer(t)
	digest, err := d.Keep(t.Context(), "wasm", []byte(module))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Edit(t.Context(), "lambda", "user/x", added(d, "f", digest, "")); err != nil {
		t.Fatal(err)
	}
	tries := 0
	err = d.Edit(t.Context(), "lambda", "user/x", func(a *catalog.App) error {
		if tries++; tries == 1 {
			if err := d.Edit(t.Context(), "lambda", "user/y", added(d, "g", digest, "")); err != nil {
				return err
			}
		}
		return added(d, "h", digest, "")(a)
	})
	if a, _ := d.cfg.Catalog.Snapshot().App("lambda"); err != nil || tries != 2 || len(a.Functions) != 3 {
		t.Errorf("%d tries, %d functions, %v", tries, len(a.Functions), err)
	}
}

// TestRolesThatFunctionsTake: taking a role reaches beyond the app, on every way in; a rollback to it, too.
func TestRolesThatFunctionsTake(t *testing.T) {
	d, _ := deployer(t)
	apply(t, d, project(t, shop))
	digest, err := d.Keep(t.Context(), "wasm", []byte(module))
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	strict := d.Under(Guard{Beyond: func(_ string, what []string) error {
		asked = what
		return casemate.Errorf(casemate.Forbidden, "", "no")
	}})
	if err := strict.Edit(t.Context(), "lambda", "user/x", added(d, "f", digest, "clerk")); casemate.CodeOf(err) != casemate.Forbidden || !slices.Equal(asked, []string{Borrows("f", "clerk")}) {
		t.Errorf("%v, %v", asked, err)
	}
	if err := d.Edit(t.Context(), "lambda", "user/x", added(d, "f", digest, "clerk")); err != nil {
		t.Fatal(err)
	}
	if err := d.Edit(t.Context(), "lambda", "user/x", func(a *catalog.App) error { a.Functions["f"].Manage().Role = ""; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := strict.Rollback(t.Context(), RollbackRequest{App: "lambda", To: 1}, "user/x"); casemate.CodeOf(err) != casemate.Forbidden {
		t.Errorf("a rollback takes the role again: %v", err)
	}
}

// TestTheManifestWins: a deploy puts in force what the manifest says, whatever the API wrote over it; what was published stays.
func TestTheManifestWins(t *testing.T) {
	d, st := deployer(t)
	dir := project(t, shop)
	apply(t, d, dir)
	err := d.Edit(t.Context(), "shop", "user/x", func(a *catalog.App) error {
		f := a.Functions["price"]
		v := *f.Latest()
		v.Number, v.Limits.Timeout, v.Managed = 2, time.Minute, &casemate.Managed{Draft: true}
		f.Versions, f.Live = append(f.Versions, &v), 2
		m := f.Manage()
		m.Role, m.Tags, m.Aliases = "clerk", map[string]string{"a": "b"}, map[string]*catalog.Alias{"live": {Version: 1}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := d.cfg.Catalog.Snapshot().Find("price")
	if f.Latest().Limits.Timeout != time.Minute {
		t.Fatalf("%+v", f.Latest())
	}
	st.now = now.Add(time.Hour)
	apply(t, d, dir)
	f, _ = d.cfg.Catalog.Snapshot().Find("price")
	if m := f.Manages(); f.Live != 1 || len(f.Versions) != 1 || f.Latest().Limits.Timeout != 3*time.Second || m.Role != "" || m.Tags["a"] != "b" || m.Aliases["live"] == nil {
		t.Errorf("%+v %+v", f, m)
	}
}
