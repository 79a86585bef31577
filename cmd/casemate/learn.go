package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"casemate"
	"casemate/shield/infer"
	"casemate/shield/text"
)

// Bounds of learning on one node.
const (
	maxLessons = 50
	maxLesson  = 7 * 24 * time.Hour
)

// school learns contracts from the traffic of the routes that it was told to watch, for as long as it was told. What it
// keeps are shapes, in memory alone. The zero school watches nothing, and costs an event one load.
type school struct {
	active  atomic.Bool
	mu      sync.Mutex
	lessons map[[2]string]*course // by app and route
}

// course is one route that is watched, or was.
type course struct {
	from, until time.Time
	ops         map[string]*infer.Operation // by method
}

// watch begins to learn a route anew.
func (s *school) watch(app, route string, from, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lessons == nil {
		s.lessons = map[[2]string]*course{}
	}
	key := [2]string{app, route}
	if s.lessons[key] == nil && len(s.lessons) >= maxLessons {
		return casemate.Errorf(casemate.Exhausted, "forget one: casemate contract learn ROUTE --stop", "%d routes are learned already", maxLessons)
	}
	s.lessons[key] = &course{from: from, until: until, ops: map[string]*infer.Operation{}}
	s.active.Store(true)
	return nil
}

// forget drops what was learned of a route.
func (s *school) forget(app, route string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lessons, [2]string{app, route})
	s.active.Store(len(s.lessons) > 0)
}

// with hands out what is being learned of the event's operation, where it is watched now.
func (s *school) with(m *casemate.Match, e *casemate.Event, now time.Time, do func(o *infer.Operation)) {
	if !s.active.Load() || m == nil || m.Route == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.lessons[[2]string{m.Route.App, m.Route.ID}]
	if c == nil || !now.Before(c.until) {
		return
	}
	o := c.ops[e.Target.Method]
	if o == nil {
		o = &infer.Operation{Method: e.Target.Method, Path: m.Route.Path}
		c.ops[e.Target.Method] = o
	}
	do(o)
}

// hear has requests that were let in looked at.
func (s *school) hear(clean func(*casemate.Match, *casemate.Event, []byte) (casemate.Cleaned, error)) func(*casemate.Match, *casemate.Event, []byte) (casemate.Cleaned, error) {
	return func(m *casemate.Match, e *casemate.Event, raw []byte) (casemate.Cleaned, error) {
		c, err := clean(m, e, raw)
		if err == nil && s.active.Load() {
			s.with(m, e, time.Now(), func(o *infer.Operation) {
				o.Request(&casemate.Exchange{Params: m.Params, Query: e.Query, ContentType: e.ContentType, Body: c.Body})
			})
		}
		return c, err
	}
}

// see has answers that were let out looked at.
func (s *school) see(leave func(*casemate.Match, *casemate.Event, *casemate.Principal, *casemate.Result) error) func(*casemate.Match, *casemate.Event, *casemate.Principal, *casemate.Result) error {
	return func(m *casemate.Match, e *casemate.Event, p *casemate.Principal, r *casemate.Result) error {
		err := leave(m, e, p, r)
		if err == nil && s.active.Load() && r.Answer != nil {
			s.with(m, e, time.Now(), func(o *infer.Operation) { o.Answer(r.Answer) })
		}
		return err
	}
}

// lessonAsked is what to learn, and for how long.
type lessonAsked struct {
	App   string        `json:"app,omitempty"`
	Route string        `json:"route"`
	For   time.Duration `json:"for_ns,omitempty"`
	Stop  bool          `json:"stop,omitempty"`
}

// lessonState is one route that is, or was, learned.
type lessonState struct {
	App      string    `json:"app"`
	Route    string    `json:"route"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Requests int       `json:"requests"`
}

// learned is a contract that was learned.
type learned struct {
	Lessons  []lessonState `json:"lessons"`
	Document string        `json:"document"`
	Loose    []string      `json:"loose"`
}

func (n *node) contractBuiltins() map[string]builtin {
	return map[string]builtin{
		"contract.learn": question("casemate:LearnContract", "route", func(_ context.Context, _ *casemate.Launch, in lessonAsked) (any, error) {
			app, err := n.appOf(in.App, in.Route)
			if err != nil {
				return nil, err
			}
			if in.Stop {
				n.school.forget(app, in.Route)
				return lessonState{App: app, Route: in.Route}, nil
			}
			if in.For <= 0 || in.For > maxLesson {
				return nil, casemate.Errorf(casemate.Invalid, "--for 1h", "a route is learned for a week at most")
			}
			now := time.Now()
			if err := n.school.watch(app, in.Route, now, now.Add(in.For)); err != nil {
				return nil, err
			}
			return lessonState{App: app, Route: in.Route, From: now, Until: now.Add(in.For)}, nil
		}),
		"contract.learned": question("casemate:ReadContract", "route", func(_ context.Context, _ *casemate.Launch, in lessonAsked) (any, error) {
			return n.school.report(in.App, in.Route)
		}),
	}
}

// appOf is the app that has the route; in several, one has to be named.
func (n *node) appOf(app, route string) (string, error) {
	snap := n.catalog.Snapshot()
	var found []string
	for _, name := range snap.Apps() {
		a, _ := snap.App(name)
		if (app == "" || app == name) && slices.ContainsFunc(a.Routes, func(r casemate.Route) bool { return r.ID == route && !r.URL }) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", casemate.Errorf(casemate.NotFound, "casemate list shows the routes", "there is no route %q", route)
	case 1:
		return found[0], nil
	}
	return "", casemate.Errorf(casemate.Invalid, "--app "+found[0], "the apps %s have the route %s", strings.Join(found, ", "), route)
}

// report writes what was learned of an app, or of one of its routes.
func (s *school) report(app, route string) (*learned, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &learned{Lessons: []lessonState{}, Loose: []string{}}
	var ops []*infer.Operation
	for key, c := range s.lessons {
		if key[0] != app || route != "" && key[1] != route {
			continue
		}
		state := lessonState{App: key[0], Route: key[1], From: c.from, Until: c.until}
		for _, method := range slices.Sorted(maps.Keys(c.ops)) {
			ops = append(ops, c.ops[method])
			state.Requests += c.ops[method].Requests
		}
		out.Lessons = append(out.Lessons, state)
	}
	if len(ops) == 0 {
		return nil, casemate.Errorf(casemate.NotFound, "casemate contract learn ROUTE --for 1h, then traffic", "nothing was learned of it yet")
	}
	slices.SortFunc(out.Lessons, func(a, b lessonState) int { return strings.Compare(a.Route, b.Route) })
	slices.SortFunc(ops, func(a, b *infer.Operation) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	doc, loose := infer.Document(app, ops)
	data, err := text.WriteYAML(doc)
	if err != nil {
		return nil, err
	}
	out.Document, out.Loose = string(data), append(out.Loose, loose...)
	return out, nil
}

func (a *app) contractLearn() *cobra.Command {
	q := lessonAsked{}
	c := &cobra.Command{Use: "learn ROUTE", Short: "Look at a route's requests and answers for a while, to learn its contract", Args: cobra.ExactArgs(1),
		Long: `Bodies are not recorded, so a contract is learned from traffic only where and as long as you say so. The node keeps shapes, in
memory: kinds, lengths, formats, names of members. It keeps values only where they look like words of a short list (open, shut), never
of members called name, token, note and the like. Requests that were refused are not looked at. Learning a route again begins anew.`,
		Example: "  casemate contract learn \"POST /orders\" --for 1h\n  casemate contract infer shop -o learned.yaml\n  casemate contract learn \"POST /orders\" --stop",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Route = args[0]
			var s lessonState
			if err := a.call(cmd.Context(), "contract.learn", &q, &s); err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) {
				if q.Stop {
					fmt.Fprintf(w, "what was learned of %s is forgotten\n", s.Route)
					return
				}
				fmt.Fprintf(w, "learning %s of %s until %s; then: casemate contract infer %s\n", s.Route, s.App, s.Until.Local().Format(time.DateTime), s.App)
			})
		}}
	c.Flags().StringVar(&q.App, "app", "", "the route's app, where several have it")
	c.Flags().DurationVar(&q.For, "for", time.Hour, "how long: 10m, 24h; a week at most")
	c.Flags().BoolVar(&q.Stop, "stop", false, "end it and forget what was learned")
	return c
}

func (a *app) contractInfer() *cobra.Command {
	var out string
	c := &cobra.Command{Use: "infer APP [ROUTE]", Short: "Write what was learned as an OpenAPI document", Args: cobra.RangeArgs(1, 2),
		Long: `Writes an OpenAPI 3.1 document that every request and answer seen while learning passes, and says how many there were and what
it leaves loose. Read it, tighten what is loose, then name it in casemate.yaml: contract: {file: ..., operation: ...}.`,
		Example: "  casemate contract infer shop -o learned.yaml\n  casemate contract infer shop \"POST /orders\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			q := lessonAsked{App: args[0]}
			if len(args) > 1 {
				q.Route = args[1]
			}
			var l learned
			if err := a.call(cmd.Context(), "contract.learned", &q, &l); err != nil {
				return err
			}
			if out != "" {
				if err := writeNew(out, []byte(l.Document)); err != nil {
					return err
				}
			} else if !a.json {
				fmt.Fprint(a.out, l.Document)
			}
			if a.json {
				return a.show(l, nil)
			}
			for _, s := range l.Lessons {
				fmt.Fprintf(a.errs, "%s: %d requests since %s\n", s.Route, s.Requests, s.From.Local().Format(time.DateTime))
			}
			for _, text := range l.Loose {
				fmt.Fprintln(a.errs, "loose: "+text)
			}
			return nil
		}}
	c.Flags().StringVarP(&out, "output", "o", "", "write it into this new file")
	return c
}

// writeNew writes a file that is not there yet.
func writeNew(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return casemate.Errorf(casemate.Invalid, "name a file that is not there yet", "writing the document: %w", err)
	}
	if _, err = f.Write(data); err != nil {
		_ = f.Close()
		return fmt.Errorf("writing the document: %w", err)
	}
	return f.Close()
}
