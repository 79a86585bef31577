package node

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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

// LessonAsked is what to learn, and for how long.
type LessonAsked struct {
	App   string        `json:"app,omitempty"`
	Route string        `json:"route"`
	For   time.Duration `json:"for_ns,omitempty"`
	Stop  bool          `json:"stop,omitempty"`
}

// LessonState is one route that is, or was, learned.
type LessonState struct {
	App      string    `json:"app"`
	Route    string    `json:"route"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Requests int       `json:"requests"`
}

// Learned is a contract that was learned.
type Learned struct {
	Lessons  []LessonState `json:"lessons"`
	Document string        `json:"document"`
	Loose    []string      `json:"loose"`
}

func (n *node) contractBuiltins() map[string]builtin {
	return map[string]builtin{
		"contract.learn": question("casemate:LearnContract", "route", func(_ context.Context, _ *casemate.Launch, in LessonAsked) (any, error) {
			app, err := n.appOf(in.App, in.Route)
			if err != nil {
				return nil, err
			}
			if in.Stop {
				n.school.forget(app, in.Route)
				return LessonState{App: app, Route: in.Route}, nil
			}
			if in.For <= 0 || in.For > maxLesson {
				return nil, casemate.Errorf(casemate.Invalid, "--for 1h", "a route is learned for a week at most")
			}
			now := time.Now()
			if err := n.school.watch(app, in.Route, now, now.Add(in.For)); err != nil {
				return nil, err
			}
			return LessonState{App: app, Route: in.Route, From: now, Until: now.Add(in.For)}, nil
		}),
		"contract.learned": question("casemate:ReadContract", "route", func(_ context.Context, _ *casemate.Launch, in LessonAsked) (any, error) {
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
func (s *school) report(app, route string) (*Learned, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &Learned{Lessons: []LessonState{}, Loose: []string{}}
	var ops []*infer.Operation
	for key, c := range s.lessons {
		if key[0] != app || route != "" && key[1] != route {
			continue
		}
		state := LessonState{App: key[0], Route: key[1], From: c.from, Until: c.until}
		for _, method := range slices.Sorted(maps.Keys(c.ops)) {
			ops = append(ops, c.ops[method])
			state.Requests += c.ops[method].Requests
		}
		out.Lessons = append(out.Lessons, state)
	}
	if len(ops) == 0 {
		return nil, casemate.Errorf(casemate.NotFound, "casemate contract learn ROUTE --for 1h, then traffic", "nothing was learned of it yet")
	}
	slices.SortFunc(out.Lessons, func(a, b LessonState) int { return strings.Compare(a.Route, b.Route) })
	slices.SortFunc(ops, func(a, b *infer.Operation) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	doc, loose := infer.Document(app, ops)
	data, err := text.WriteYAML(doc)
	if err != nil {
		return nil, err
	}
	out.Document, out.Loose = string(data), append(out.Loose, loose...)
	return out, nil
}
