package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rig is a cache and a function that counts its runs.
type rig struct {
	*Cache
	now    time.Time
	runs   int
	answer casemate.Answer
	err    error
	m      *casemate.Match
}

func newRig(cfg Config) *rig {
	return &rig{Cache: New(cfg), now: noon, answer: casemate.Answer{Status: 200, Body: []byte("a")}, m: &casemate.Match{Version: &casemate.Version{ID: "v1"}, Revision: "p1",
		Route: &casemate.Route{App: "shop", ID: "GET /a", Keep: &casemate.Keep{TTL: time.Minute, Vary: []string{"accept-language"}}}}}
}

func caller(id string) *casemate.Principal {
	return &casemate.Principal{Kind: casemate.KindKey, ID: id}
}

func get(path string, headers ...string) *casemate.Event {
	h := http.Header{}
	for _, l := range headers {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return &casemate.Event{Target: casemate.Target{Host: "h", Method: "GET", Path: path}, Header: h.Values}
}

func (r *rig) ask(t *testing.T, e *casemate.Event, p *casemate.Principal) *casemate.Result {
	t.Helper()
	res, err := r.Kept(t.Context(), r.now, r.m, e, p, func(context.Context) (*casemate.Result, error) {
		r.runs++
		a := r.answer
		return &casemate.Result{Answer: &a, Payload: []byte("p"), Usage: casemate.Usage{Wall: 1}, Executed: "1"}, r.err
	})
	if (err != nil) != (r.err != nil) {
		t.Fatal(err)
	}
	return res
}

// want counts the runs of one question asked twice.
func (r *rig) want(t *testing.T, name string, runs int, e *casemate.Event, p *casemate.Principal) {
	t.Helper()
	r.runs = 0
	r.ask(t, e, p)
	r.ask(t, e, p)
	if r.runs != runs {
		t.Errorf("%s: %d runs, want %d", name, r.runs, runs)
	}
}

func TestEqualRequestsRunOnce(t *testing.T) {
	r := newRig(Config{})
	r.want(t, "equal", 1, get("/a"), caller("a"))
	r.now = noon.Add(30 * time.Second)
	res := r.ask(t, get("/a"), caller("a"))
	if res.Answer.Get("age") != "30" || string(res.Answer.Body) != "a" || res.Usage != (casemate.Usage{}) || res.Executed != "1" {
		t.Errorf("got %+v %+v", res, res.Answer)
	}
	r.now = noon.Add(time.Minute)
	r.want(t, "after its time", 1, get("/a"), caller("a"))
	r.now = noon.Add(-time.Hour)
	r.want(t, "a clock set back", 1, get("/a"), caller("a"))
}

// Nothing that an answer may depend on is left out of its key.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	base := func() (*rig, *casemate.Event, *casemate.Principal) {
		p := caller("a")
		p.Claims, p.Tags, p.Scopes = map[string]string{"org": "x"}, map[string]string{"t": "1"}, []string{"s"}
		return newRig(Config{}), get("/a", "Accept-Language: de"), p
	}
	for name, bend := range map[string]func(*rig, *casemate.Event, *casemate.Principal){
		"who":          func(_ *rig, _ *casemate.Event, p *casemate.Principal) { p.ID = "b" },
		"kind":         func(_ *rig, _ *casemate.Event, p *casemate.Principal) { p.Kind = casemate.KindToken },
		"role":         func(_ *rig, _ *casemate.Event, p *casemate.Principal) { p.Role = "boss" },
		"claim":        func(_ *rig, _ *casemate.Event, p *casemate.Principal) { p.Claims = map[string]string{"org": "y"} },
		"claim's name": func(_ *rig, _ *casemate.Event, p *casemate.Principal) { p.Claims = map[string]string{"orgx": ""} },
		"claim as tag": func(_ *rig, _ *casemate.Event, p *casemate.Principal) { p.Claims, p.Tags = p.Tags, p.Claims },
		"scope":        func(_ *rig, _ *casemate.Event, p *casemate.Principal) { p.Scopes = []string{"s", "t"} },
		"context":      func(_ *rig, _ *casemate.Event, p *casemate.Principal) { p.Context = map[string]string{"a": "b"} },
		"path":         func(_ *rig, e *casemate.Event, _ *casemate.Principal) { e.Target.Path = "/b" },
		"query":        func(_ *rig, e *casemate.Event, _ *casemate.Principal) { e.Query = "x=1" },
		"path, query":  func(_ *rig, e *casemate.Event, _ *casemate.Principal) { e.Target.Path, e.Query = "/", "a" },
		"host":         func(_ *rig, e *casemate.Event, _ *casemate.Principal) { e.Target.Host = "other" },
		"tenant":       func(_ *rig, e *casemate.Event, _ *casemate.Principal) { e.Tenant = "t" },
		"language": func(_ *rig, e *casemate.Event, _ *casemate.Principal) {
			e.Header = get("/a", "Accept-Language: fr").Header
		},
		"no language": func(_ *rig, e *casemate.Event, _ *casemate.Principal) { e.Header = get("/a").Header },
		"two lines": func(_ *rig, e *casemate.Event, _ *casemate.Principal) {
			e.Header = get("/a", "Accept-Language: de", "Accept-Language: de").Header
		},
		"method":   func(_ *rig, e *casemate.Event, _ *casemate.Principal) { e.Target.Method = "HEAD" },
		"version":  func(r *rig, _ *casemate.Event, _ *casemate.Principal) { r.m.Version = &casemate.Version{ID: "v2"} },
		"contract": func(r *rig, _ *casemate.Event, _ *casemate.Principal) { r.m.Route.Contract = "c" },
		"policy":   func(r *rig, _ *casemate.Event, _ *casemate.Principal) { r.m.Revision = "p2" },
		"route":    func(r *rig, _ *casemate.Event, _ *casemate.Principal) { r.m.Route.ID = "GET /{x}" },
	} {
		r, e, p := base()
		r.want(t, name+" before", 1, e, p)
		bend(r, e, p)
		r.want(t, name, 1, e, p)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	for name, bend := range map[string]func(*rig, *casemate.Event){
		"no keep":        func(r *rig, _ *casemate.Event) { r.m.Route.Keep = nil },
		"no route":       func(r *rig, _ *casemate.Event) { r.m.Route = nil },
		"POST":           func(_ *rig, e *casemate.Event) { e.Target.Method = "POST" },
		"a body":         func(_ *rig, e *casemate.Event) { e.Size = 1 },
		"unknown length": func(_ *rig, e *casemate.Event) { e.Size = -1 },
		"a part":         func(_ *rig, e *casemate.Event) { e.Header = get("/a", "Range: bytes=0-1").Header },
		"conditional":    func(_ *rig, e *casemate.Event) { e.Header = get("/a", "If-None-Match: x").Header },
		"cookies":        func(_ *rig, e *casemate.Event) { e.Header = get("/a", "Cookie: a=b").Header },
		"async":          func(_ *rig, e *casemate.Event) { e.Async = true },
		"not found":      func(r *rig, _ *casemate.Event) { r.answer.Status = 404 },
		"sets a cookie":  func(r *rig, _ *casemate.Event) { r.answer.Cookies = []string{"a=b"} },
		"no-store":       func(r *rig, _ *casemate.Event) { r.answer.Header = line("cache-control", "max-age=9, No-Store") },
		"max-age=0":      func(r *rig, _ *casemate.Event) { r.answer.Header = line("cache-control", "max-age=0") },
		"max-age=x":      func(r *rig, _ *casemate.Event) { r.answer.Header = line("cache-control", "max-age=x") },
		"varies":         func(r *rig, _ *casemate.Event) { r.answer.Header = line("vary", "Accept-Language, User-Agent") },
		"one origin": func(r *rig, _ *casemate.Event) {
			r.answer.Header = line("access-control-allow-origin", "https://a.test")
		},
		"varies by all": func(r *rig, _ *casemate.Event) { r.answer.Header = line("vary", "*") },
		"large":         func(r *rig, _ *casemate.Event) { r.answer.Body = make([]byte, 2<<20) },
		"failed":        func(r *rig, _ *casemate.Event) { r.err = errors.New("no") },
	} {
		r, e := newRig(Config{}), get("/a")
		bend(r, e)
		r.want(t, name, 2, e, caller("a"))
		if r.bytes != 0 || len(r.kept) != 0 || len(r.running) != 0 {
			t.Errorf("%s: %d bytes, %d kept, %d running", name, r.bytes, len(r.kept), len(r.running))
		}
	}
	r := newRig(Config{})
	r.want(t, "nobody", 2, get("/a"), &casemate.Principal{})
	r.m.Route.Keep.Shared = true
	r.want(t, "shared", 1, get("/a"), &casemate.Principal{})
	r.want(t, "shared with somebody", 0, get("/a"), caller("a"))
	own := get("/a") // whatever it says of its sender, the function alone can tell
	own.Credential = casemate.Credential{Kind: casemate.CredentialBearer, Secret: "own"}
	r.want(t, "shared with nobody who has a credential of the function's own", 2, own, &casemate.Principal{})
	beside := get("/a")
	beside.Credential = casemate.Credential{Kind: casemate.CredentialKey, Secret: "ck_a", Beside: "authorization"}
	r.want(t, "shared with who has one beside its key", 2, beside, &casemate.Principal{Kind: casemate.KindKey, ID: "key/a"})
	r.answer.Header = line("cache-control", "private")
	r.want(t, "private and shared", 2, get("/b"), caller("a"))
}

// TestOriginsAreNotMixed: what is kept must not tell one origin what another one may. Where the route speaks about origins
// itself, what the function says of them does not leave, and every origin may get the same answer.
func TestOriginsAreNotMixed(t *testing.T) {
	r := newRig(Config{})
	r.answer.Header = line("access-control-allow-origin", "*")
	r.want(t, "everybody", 1, get("/a"), caller("a"))
	r = newRig(Config{})
	r.answer.Header = line("access-control-allow-origin", "https://a.test")
	r.m.Route.Keep.Vary = []string{"origin"}
	r.want(t, "told apart", 1, get("/a", "Origin: https://a.test"), caller("a"))
	r.want(t, "another origin", 1, get("/a", "Origin: https://b.test"), caller("a"))
	r = newRig(Config{})
	r.answer.Header = line("access-control-allow-origin", "https://a.test")
	r.m.Route.Browser = &casemate.Browser{CORS: &casemate.CORS{}}
	r.want(t, "the route speaks", 1, get("/a"), caller("a"))
}

func line(name, value string) []casemate.HeaderLine {
	return []casemate.HeaderLine{{Name: name, Value: value}}
}

func TestFunctionShortensTheTime(t *testing.T) {
	r := newRig(Config{})
	r.answer.Header = line("cache-control", "private, max-age=5")
	r.want(t, "kept", 1, get("/a"), caller("a"))
	r.now = noon.Add(5 * time.Second)
	r.want(t, "run out", 1, get("/a"), caller("a"))
}

func TestMemoryIsBounded(t *testing.T) {
	r := newRig(Config{Bytes: 64 << 10, Each: 32 << 10})
	r.answer.Body = make([]byte, 4<<10)
	for i := range 200 {
		r.ask(t, get(fmt.Sprint("/", i)), caller("a"))
		if r.bytes > 64<<10 || len(r.kept) != r.order.Len() {
			t.Fatalf("%d bytes in %d answers", r.bytes, len(r.kept))
		}
	}
	r.want(t, "the newest stays", 0, get("/199"), caller("a"))
	r.want(t, "the oldest went", 1, get("/0"), caller("a"))
}

// Ten thousand who ask at once cost one run, and none of them waits longer than it wants to.
func TestManyAtOnceCostOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Config{})
		var runs int
		do := func(context.Context) (*casemate.Result, error) {
			runs++ // one at a time, or the race detector says so
			<-time.After(time.Second)
			a := r.answer
			return &casemate.Result{Answer: &a}, nil
		}
		var wg sync.WaitGroup
		for range 10_000 {
			wg.Go(func() {
				if res, err := r.Kept(context.Background(), noon, r.m, get("/a"), caller("a"), do); err != nil || string(res.Answer.Body) != "a" {
					t.Errorf("%v, %v", res, err)
				}
			})
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			<-time.After(time.Microsecond)
			if _, err := r.Kept(ctx, noon, r.m, get("/a"), caller("a"), do); casemate.CodeOf(err) != casemate.Timeout {
				t.Errorf("an impatient caller got %v", err)
			}
		})
		wg.Wait()
		if runs != 1 {
			t.Errorf("%d runs", runs)
		}
	})
}

// Who ran for others and failed, or panicked, leaves nobody waiting.
func TestFailureIsEverybodysOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(Config{})
		var mu sync.Mutex
		first := true
		do := func(context.Context) (*casemate.Result, error) {
			mu.Lock()
			mine := first
			first = false
			mu.Unlock()
			if mine {
				<-time.After(time.Second)
				panic("broken")
			}
			a := r.answer
			return &casemate.Result{Answer: &a}, nil
		}
		var wg sync.WaitGroup
		good := 0
		for range 8 {
			wg.Go(func() {
				defer func() { _ = recover() }() // of the first
				if _, err := r.Kept(context.Background(), noon, r.m, get("/a"), caller("a"), do); err == nil {
					mu.Lock()
					good++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if good != 7 {
			t.Errorf("%d were answered", good)
		}
	})
}
