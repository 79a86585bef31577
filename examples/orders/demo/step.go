package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// step is one thing that happens, and what must come of it.
type step struct {
	what     string
	function string // left out with it
	method   string
	path     string
	body     string
	role     string // whose key; "" is nobody's
	repeat   int    // requests sent; the last one is judged
	status   int
	holds    []string // must stand in the answer
	lacks    []string // must not
	header   string   // must be set
	record   func(r *record) error
}

// record is what the demo reads of an audit record.
type record struct {
	Principal string
	Points    []struct{ Name, Verdict, Reason string }
	Decision  struct{ Verdict, Layer, Statement, Origin, Reason string }
	Effects   []struct{ Kind, Target, Verdict, Reason string }
	Weak      []string
	Usage     struct {
		Wall   time.Duration `json:"wall_ns"`
		CPU    time.Duration `json:"cpu_ns"`
		Peak   int64         `json:"peak_bytes"`
		Memory int           `json:"memory_mb"`
		Cold   bool          `json:"cold"`
		Init   time.Duration `json:"init_ns"`
	}
	Outcome struct{ Code, Failure, Status string }
}

const (
	basket = `{"items":[{"sku":"tea","quantity":2},{"sku":"cup","quantity":1}]}`
	order  = `{"customer":"Ada","items":[{"sku":"tea","quantity":2}]}`
)

func steps() []step {
	return []step{
		{what: "a basket is priced (WebAssembly)", function: "price", method: "POST", path: "/prices", body: basket, role: "clerk", status: 200, holds: []string{`"total"`}},
		{what: "again: a fresh instance, a warm worker", function: "price", method: "POST", path: "/prices", body: basket, role: "clerk", status: 200, holds: []string{`"total"`}},
		{what: "a good order (Node)", function: "orders", method: "POST", path: "/orders", body: order, role: "clerk", status: 201, holds: []string{`"customer":"Ada"`}},
		{what: "its receipt (Go, aws-lambda-go)", function: "receipt", method: "POST", path: "/receipts", body: order, role: "clerk", status: 200, holds: []string{"RECEIPT"}},
		{what: "a greeting (Python)", function: "greet", method: "GET", path: "/greet/Ada", role: "clerk", status: 200, holds: []string{"Hello, Ada!"}},
		{what: "no credential", method: "POST", path: "/prices", body: basket, status: 401, header: "WWW-Authenticate", record: refusedAt("who")},
		{what: "a role that may not", method: "POST", path: "/prices", body: basket, role: "viewer", status: 403, record: func(r *record) error {
			if r.Decision.Verdict != "deny" || r.Decision.Statement == "" {
				return fmt.Errorf("the record names no statement: %+v", r.Decision)
			}
			return refusedAt("may")(r)
		}},
		{what: "a body that breaks the contract", method: "POST", path: "/prices", body: `{"items":[{"sku":"tea","quantity":2,"price":0}]}`, role: "clerk", status: 400, holds: []string{"/items/0/price"}, record: refusedAt("form")},
		{what: "an unknown route", method: "GET", path: "/admin", role: "clerk", status: 404},
		{what: "more than the rate allows", function: "receipt", method: "POST", path: "/receipts", body: order, role: "clerk", repeat: 6, status: 429, header: "Retry-After", record: refusedAt("room")},
		{what: "a function that loops for ever", method: "GET", path: "/unruly/loop", role: "tester", status: 504, record: failure("Sandbox.Timedout")},
		{what: "one that allocates for ever", method: "GET", path: "/unruly/memory", role: "tester", status: 502, record: failure("Runtime.OutOfMemory")},
		{what: "one that dials out", method: "GET", path: "/unruly/dial", role: "tester", status: 200, lacks: []string{"connected"}, record: dialled},
		{what: "one that starts a shell", method: "GET", path: "/unruly/spawn", role: "tester", status: 200, lacks: []string{"uid="}, record: refusedEffect("exec")},
		{what: "the host that it may reach", method: "GET", path: "/unruly/call", role: "tester", status: 200, holds: []string{"a pound of tea"}, record: allowedEffect("connect", "partner.example:80")},
		{what: "the secret that it may read", method: "GET", path: "/unruly/secret", role: "tester", status: 200, holds: []string{`"length":24`}, record: allowedEffect("service", "shop/partner")},
		{what: "one that it may not", method: "GET", path: "/unruly/steal", role: "tester", status: 200, holds: []string{"AccessDenied"}, record: refusedEffect("service")},
		{what: "a crash with a stack trace", method: "GET", path: "/unruly/crash", role: "tester", status: 502, lacks: []string{"goroutine", "secret", "main.go"}, record: failure("Runtime.ExitError")},
		{what: "the node is none the worse", function: "price", method: "GET", path: "/prices/tea", role: "viewer", status: 200},
	}
}

func refusedAt(point string) func(*record) error {
	return func(r *record) error {
		for _, p := range r.Points {
			if p.Verdict != "allow" && p.Name != "out" {
				if p.Name == point {
					return nil
				}
				return fmt.Errorf("refused at %s, not at %s", p.Name, point)
			}
		}
		return fmt.Errorf("not refused at %s", point)
	}
}

func failure(want string) func(*record) error {
	return func(r *record) error {
		if r.Outcome.Failure != want {
			return fmt.Errorf("failure %q, not %q", r.Outcome.Failure, want)
		}
		return nil
	}
}

// dialled holds when a name and an address were both tried, refused and recorded.
func dialled(r *record) error {
	seen := map[string]bool{}
	for _, e := range r.Effects {
		if e.Verdict == "allow" && (e.Kind == "resolve" || e.Kind == "connect") {
			return fmt.Errorf("%s %s was allowed", e.Kind, e.Target)
		}
		seen[e.Kind] = true
	}
	if !seen["resolve"] || !seen["connect"] && len(r.Weak) == 0 {
		return fmt.Errorf("the record lacks an attempt: %+v", r.Effects)
	}
	return nil
}

// refusedEffect holds when something of this kind was tried, refused and recorded, and nothing of it allowed.
func refusedEffect(kind string) func(*record) error {
	return func(r *record) error {
		seen := false
		for _, e := range r.Effects {
			if e.Kind == kind && e.Verdict == "allow" {
				return fmt.Errorf("%s %s was allowed", e.Kind, e.Target)
			}
			seen = seen || e.Kind == kind
		}
		if !seen && len(r.Weak) == 0 {
			return fmt.Errorf("the record lacks the attempt: %+v", r.Effects)
		}
		return nil
	}
}

// allowedEffect holds when the record says that something was reached.
func allowedEffect(kind, target string) func(*record) error {
	return func(r *record) error {
		for _, e := range r.Effects {
			if e.Kind == kind && e.Verdict == "allow" && strings.Contains(e.Target, target) {
				return nil
			}
		}
		return fmt.Errorf("the record does not say that %s was reached: %+v", target, r.Effects)
	}
}

// play runs the steps and prints their table; it returns how many went wrong.
func (s *stage) play(ctx context.Context) (failed int, err error) {
	title("Real requests, through the corridor")
	fmt.Printf("   %-38s %-22s %-31s %-44s %s\n", "WHAT", "CAME IN", "CORRIDOR (refused in capitals)", "DECIDED, AND WHY", "ANSWER; COST")
	for _, st := range steps() {
		if s.leftOut[st.function] {
			fmt.Printf(" - %-38s left out with function %s\n", st.what, st.function)
			continue
		}
		if err := s.one(ctx, &st); err != nil {
			failed++
			fmt.Printf("   \x1b[31mnot as it should be: %v\x1b[0m\n", err)
		}
	}
	return failed, ctx.Err()
}

func (s *stage) one(ctx context.Context, st *step) error {
	var resp *http.Response
	var body []byte
	var err error
	for range max(1, st.repeat) {
		if resp, body, err = s.send(ctx, st); err != nil {
			return err
		}
		if st.repeat > 0 && resp.StatusCode == st.status {
			break
		}
	}
	r, err := s.recordOf(ctx, resp)
	if err != nil {
		return err
	}
	err = st.judge(resp, string(body), r)
	mark := "\x1b[32m✓\x1b[0m"
	if err != nil {
		mark = "\x1b[31m✗\x1b[0m"
	}
	fmt.Printf(" %s %-38s %-22s %-31s %-44s %d %s\n", mark, st.what, st.method+" "+st.path, corridor(r), clip(why(r), 44), resp.StatusCode, cost(r))
	return err
}

func (s *stage) recordOf(ctx context.Context, resp *http.Response) (*record, error) {
	id := resp.Header.Get("X-Amzn-Requestid")
	out, err := s.run(ctx, "audit", "show", id, "--json")
	if err != nil {
		return nil, err
	}
	var entry struct{ Record record }
	return &entry.Record, json.Unmarshal(out, &entry)
}

func (st *step) judge(resp *http.Response, body string, r *record) error {
	var wrong []error
	if resp.StatusCode != st.status {
		wrong = append(wrong, fmt.Errorf("status %d, not %d: %.300s", resp.StatusCode, st.status, body))
	}
	for _, h := range st.holds {
		if !strings.Contains(body, h) {
			wrong = append(wrong, fmt.Errorf("the answer lacks %q: %.300s", h, body))
		}
	}
	for _, l := range st.lacks {
		if strings.Contains(body, l) {
			wrong = append(wrong, fmt.Errorf("the answer holds %q: %.300s", l, body))
		}
	}
	if st.header != "" && resp.Header.Get(st.header) == "" {
		wrong = append(wrong, fmt.Errorf("no %s header", st.header))
	}
	if st.record != nil {
		wrong = append(wrong, st.record(r))
	}
	return errors.Join(wrong...)
}

// corridor is the verdict points in order, the refusing one in capitals.
func corridor(r *record) string {
	var names []string
	for _, p := range r.Points {
		if p.Verdict != "allow" {
			p.Name = strings.ToUpper(p.Name)
		}
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func why(r *record) string {
	refused, reached := 0, ""
	var first string
	for _, e := range r.Effects {
		switch {
		case e.Verdict != "allow" && refused == 0:
			first = e.Kind + " " + e.Target
			fallthrough
		case e.Verdict != "allow":
			refused++
		case e.Kind == "connect" || e.Kind == "service":
			reached = e.Kind + " " + e.Target
		}
	}
	if refused > 0 {
		return fmt.Sprintf("%d refused: %s", refused, first)
	}
	if reached != "" {
		return "it was granted: " + reached
	}
	if r.Outcome.Failure != "" {
		return "failed: " + r.Outcome.Failure
	}
	for _, p := range r.Points {
		if p.Verdict != "allow" && p.Name != "out" && p.Name != "may" {
			return p.Reason
		}
	}
	if r.Decision.Statement != "" {
		return r.Decision.Verdict + " by " + r.Decision.Statement
	}
	return r.Outcome.Code
}

func cost(r *record) string {
	u := r.Usage
	if u.Wall == 0 {
		return "nothing ran"
	}
	temperature := "warm"
	if u.Cold {
		temperature = fmt.Sprintf("cold start %s", u.Init.Round(100*time.Microsecond))
	}
	return fmt.Sprintf("%s, %s, CPU %s, %.1f of %d MB", temperature, u.Wall.Round(100*time.Microsecond), u.CPU.Round(100*time.Microsecond), float64(u.Peak)/(1<<20), u.Memory)
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
