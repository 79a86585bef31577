package node

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"casemate"
	"casemate/browser"
	"casemate/catalog"
	"casemate/gate"
)

// browsers is what the routes in force tell browsers: compiled when they come into force.
type browsers struct {
	catalog *catalog.Catalog
	gate    *gate.Gate
	plain   *browser.Rules
	rules   atomic.Pointer[map[*casemate.Browser]*browser.Rules]
	tally   browser.Tally
}

// set compiles what is new, and lets go of what is gone.
func (b *browsers) set(s *catalog.Snapshot) {
	old, all := b.rules.Load(), map[*casemate.Browser]*browser.Rules{}
	for _, name := range s.Apps() {
		app, _ := s.App(name)
		for i := range app.Routes {
			x := app.Routes[i].Browser
			if x == nil {
				continue
			}
			if old != nil && (*old)[x] != nil {
				all[x] = (*old)[x]
			} else if r, err := browser.Compile(x); err == nil { // the catalog checked it; what fails gets the default
				all[x] = r
			}
		}
	}
	b.rules.Store(&all)
}

// Route implements front.Browsers.
func (b *browsers) Route(host, method, path string) (*casemate.Route, *browser.Rules) {
	r := b.catalog.Snapshot().Route(host, method, path)
	if r == nil {
		return nil, nil
	}
	return r, b.Rules(r)
}

// Rules implements front.Browsers. A route of this moment whose rules are not there yet has them made.
func (b *browsers) Rules(r *casemate.Route) *browser.Rules {
	if r == nil || r.Browser == nil {
		return b.plain
	}
	if all := b.rules.Load(); all != nil && (*all)[r.Browser] != nil {
		return (*all)[r.Browser]
	}
	if made, err := browser.Compile(r.Browser); err == nil {
		return made
	}
	return b.plain
}

// Knock implements front.Browsers.
func (b *browsers) Knock(ctx context.Context, sourceIP string) error {
	return b.gate.Knock(ctx, sourceIP)
}

// Tell implements front.Browsers.
func (b *browsers) Tell(p casemate.Preflight) { b.tally.Add(p) }

// keep writes down once a second what was counted, and a last time when ctx ends.
func (b *browsers) keep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		for _, p := range b.tally.Take() {
			b.gate.Preflight(context.WithoutCancel(ctx), p)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// openBrowsers begins to write preflights down. Its goroutine ends with the node, after the front that it hears from.
func (n *node) openBrowsers(ctx context.Context) (err error) {
	n.browsers.catalog, n.browsers.gate = n.catalog, n.gate
	if n.browsers.plain, err = browser.Compile(nil); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.browsers.keep(ctx)
	}()
	n.onClose(func() error {
		cancel()
		<-done
		return nil
	})
	return nil
}

// sameSite refuses what a page of another site had a browser send with what browsers send by themselves, before anybody looks
// at it: the caller would be proven, and would not have meant it.
type sameSite struct {
	gate.Identity
	browsers *browsers
}

// Verify implements gate.Identity.
func (s sameSite) Verify(ctx context.Context, e *casemate.Event, m *casemate.Match) (*casemate.Principal, error) {
	if m != nil && m.Route != nil && e.Header != nil && browser.Ambient(&m.Route.Auth) && ambient(&e.Credential) &&
		s.browsers.Rules(m.Route).Forged(e.Target.Method, e.Target.Host, e.Header) {
		return nil, &casemate.Error{Code: casemate.Forbidden, Rule: "cross-site", Message: "a page of another site may not send this in its visitor's name",
			Hint: "cors: origins: of the route names the pages that may"}
	}
	return s.Identity.Verify(ctx, e, m)
}

// ambient reports that nothing was sent which only a page that may read answers, or a program, could have added.
func ambient(c *casemate.Credential) bool {
	return c.Kind == casemate.CredentialNone || c.Kind == casemate.CredentialAuthorizer
}

// browserPosture lists what routes open to pages of other origins, and what they leave off.
func browserPosture(app *catalog.App) (fs []Finding) {
	for i := range app.Routes {
		r, name := &app.Routes[i], app.Name+" "+app.Routes[i].ID
		if r.URL {
			name = "URL of " + r.Function
		}
		b := r.Browser
		if b == nil {
			continue
		}
		if c := b.CORS; c != nil {
			wide := slices.ContainsFunc(c.Origins, func(o string) bool { return strings.Contains(o, "*") })
			switch {
			case c.Credentials && wide:
				fs = append(fs, Finding{"medium", "open", name, "every host below a name may act in its visitors' names: cors with credentials for " + strings.Join(c.Origins, ", "), "name the origins"})
			case c.Credentials:
				fs = append(fs, Finding{"low", "open", name, "pages of other origins may act in their visitors' names: cors with credentials for " + strings.Join(c.Origins, ", "), "leave credentials out where tokens are sent in a header"})
			}
			if c.Private {
				fs = append(fs, Finding{"medium", "open", name, "public pages may reach into this network: cors with private_network", "leave private_network out"})
			}
		}
		if b.HeadersOff {
			fs = append(fs, Finding{"medium", "weak", name, "no security header is added to its answers", "headers: {omit: [...]} leaves out the one that is in the way"})
		}
		if b.CookiesAsIs {
			fs = append(fs, Finding{"medium", "weak", name, "its cookies pass as they are: readable by scripts, sent without TLS and to other sites' pages unless the function says otherwise", "cookies: {readable: [...]} names those that scripts need"})
		}
	}
	return fs
}
