package gate

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"casemate"
)

// keyring remembers keys; what claimed says of an event that is none of the accepted ones.
type keyring map[string]casemate.Once

func (k keyring) Accept(_ context.Context, o casemate.Once, put func() error) (string, error) {
	if was, ok := k[o.Key]; ok {
		if was.Asked != o.Asked {
			return "", casemate.Errorf(casemate.Conflict, "", "used before")
		}
		return was.ID, nil
	}
	k[o.Key] = o
	return o.ID, put()
}

func (k keyring) Claim(_ context.Context, o casemate.Once) (bool, error) {
	return k[o.Key].ID == o.ID, nil
}

// asks sends an asynchronous event with a key, and gives the id that it was answered with.
func asks(t *testing.T, g *Gate, change func(*casemate.Event)) (string, error) {
	t.Helper()
	e := event()
	e.Async, e.ID, e.IdempotencyKey = true, casemate.NewID(), "k1"
	e.Encode = func(*casemate.Match, *casemate.Principal, []byte) ([]byte, error) { return []byte(e.ID), nil } // as HTTP events hold it
	if change != nil {
		change(e)
	}
	res, err := g.Handle(t.Context(), e)
	if err != nil {
		return "", err
	}
	if res.Again != "" {
		return res.Again, nil
	}
	return e.ID, nil
}

func TestIdempotencyKeys(t *testing.T) {
	r, q := newRig(), &memQueue{}
	who := "key/a"
	r.who = func(c casemate.Credential) (*casemate.Principal, error) {
		return &casemate.Principal{Kind: casemate.KindKey, ID: who}, nil
	}
	g := r.gate(t, q)
	g.c.Keys = keyring{}
	first, err := asks(t, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*casemate.Event)
		code   casemate.Code // of the refusal
		same   bool
	}{
		"again":            {nil, 0, true},
		"quoted":           {func(e *casemate.Event) { e.IdempotencyKey = ` "k1" ` }, 0, true},
		"another body":     {func(e *casemate.Event) { e.Body = strings.NewReader("ho") }, casemate.Conflict, false},
		"another path":     {func(e *casemate.Event) { e.Target.Path = "/other" }, casemate.Conflict, false},
		"another query":    {func(e *casemate.Event) { e.Query = "a=b" }, casemate.Conflict, false},
		"another key":      {func(e *casemate.Event) { e.IdempotencyKey = "k2" }, 0, false},
		"two lines":        {func(e *casemate.Event) { e.IdempotencyKey = "k1,k1" }, casemate.Invalid, false},
		"too long":         {func(e *casemate.Event) { e.IdempotencyKey = strings.Repeat("k", 256) }, casemate.Invalid, false},
		"quotes, no text":  {func(e *casemate.Event) { e.IdempotencyKey = `""` }, casemate.Invalid, false},
		"another's key":    {func(*casemate.Event) { who = "key/b" }, 0, false},
		"another function": {func(e *casemate.Event) { find := r.find; r.find = elsewhere(find) }, 0, false},
	} {
		was, find := who, r.find
		id, err := asks(t, g, c.change)
		who, r.find = was, find
		if fmt.Sprint(err == nil) != fmt.Sprint(c.code == 0) || err != nil && casemate.CodeOf(err) != c.code || err == nil && (id == first) != c.same {
			t.Errorf("%s: %s after %s, %v", name, id, first, err)
		}
		if rec := r.closed[len(r.closed)-1]; c.same && (rec.Outcome.Status != "repeated" || !strings.Contains(rec.Outcome.Detail, first)) {
			t.Errorf("%s: recorded as %+v", name, rec.Outcome)
		}
	}
	if n := len(q.items); n != 4 {
		t.Errorf("%d queued", n)
	}
}

func elsewhere(find func(*casemate.Event) (*casemate.Match, error)) func(*casemate.Event) (*casemate.Match, error) {
	return func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		v := *m.Version
		v.ARN += "2"
		m.Version = &v
		return m, err
	}
}

// TestNobodyHasNoKey: a key of nobody would be everybody's.
// TestUsersBehindOneKey: an application proves itself with its key, and its users with what only the function reads. They are one caller
// here, and are not answered with each other's events.
func TestUsersBehindOneKey(t *testing.T) {
	r, q := newRig(), &memQueue{}
	r.who = func(casemate.Credential) (*casemate.Principal, error) {
		return &casemate.Principal{Kind: casemate.KindKey, ID: "key/a"}, nil
	}
	g := r.gate(t, q)
	g.c.Keys = keyring{}
	of := func(user string) func(*casemate.Event) {
		return func(e *casemate.Event) {
			e.Credential.Beside, e.Header = "authorization", func(string) []string { return []string{user} }
		}
	}
	first, err := asks(t, g, of("Bearer ann"))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := asks(t, g, of("Bearer ann")); id != first || err != nil {
		t.Errorf("the same again is %q, %v", id, err)
	}
	for name, change := range map[string]func(*casemate.Event){"another": of("Bearer bob"), "none": nil} {
		if id, err := asks(t, g, change); casemate.CodeOf(err) != casemate.Conflict {
			t.Errorf("%s is answered with %q, %v", name, id, err)
		}
	}
}

func TestNobodyHasNoKey(t *testing.T) {
	r, q := newRig(), &memQueue{}
	r.who = func(casemate.Credential) (*casemate.Principal, error) { return &casemate.Principal{}, nil }
	find := r.find
	r.find = func(e *casemate.Event) (*casemate.Match, error) {
		m, err := find(e)
		route := *m.Route
		route.Auth.Open = &casemate.Exception{Reason: "open", Expires: r.now.Add(time.Hour)}
		m.Route = &route
		return m, err
	}
	g := r.gate(t, q)
	g.c.Keys = keyring{}
	if _, err := asks(t, g, nil); casemate.CodeOf(err) != casemate.Invalid || len(q.items) != 0 {
		t.Errorf("%v, %d queued", err, len(q.items))
	}
	if _, err := asks(t, g, func(e *casemate.Event) { e.IdempotencyKey = "" }); err != nil {
		t.Errorf("without a key: %v", err)
	}
}

// TestOnlyTheClaimedEventRuns: what was queued by a node that was killed before it answered is left, when another stands for its key.
func TestOnlyTheClaimedEventRuns(t *testing.T) {
	r, q := newRig(), &memQueue{}
	g, keys := r.gate(t, q), keyring{}
	g.c.Keys = keys
	if _, err := asks(t, g, nil); err != nil {
		t.Fatal(err)
	}
	for k, o := range keys {
		o.ID = "another"
		keys[k] = o
	}
	q.drain(t, g, 3)
	if n := strings.Count(strings.Join(r.asked, " "), "run"); n != 0 || q.done != 1 || len(q.dead) != 0 {
		t.Errorf("%d runs, %d done, dead %v", n, q.done, q.dead)
	}
}
