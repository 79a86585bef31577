package authorizer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"casemate"
	"casemate/policy"
)

// corridor answers as the function of a test would.
type corridor struct {
	asked  atomic.Int32
	mu     sync.Mutex
	events []*casemate.Event
	answer func(ctx context.Context, e *casemate.Event) (*casemate.Result, error)
}

func (c *corridor) handle(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
	c.asked.Add(1)
	c.mu.Lock()
	c.events = append(c.events, e)
	c.mu.Unlock()
	return c.answer(ctx, e)
}

func says(text string) func(context.Context, *casemate.Event) (*casemate.Result, error) {
	return func(context.Context, *casemate.Event) (*casemate.Result, error) {
		return &casemate.Result{Payload: []byte(text)}, nil
	}
}

const allow = `{"principalId":"ada","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}]},"context":{"tier":"gold","age":7,"vip":true,"none":null}}`

func open(t testing.TB, c *corridor) (*Room, *time.Time) {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	r, err := New(Config{Handler: c.handle, Parse: policy.Parse, Place: casemate.DefaultPlace, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return r, &now
}

func asker(change func(a *casemate.Authorizer)) *casemate.Authorizer {
	a := &casemate.Authorizer{App: "shop", Name: "custom", Function: "warden", Type: "request", Format: "1.0", TTL: 5 * time.Minute, Role: "member",
		Identity: []casemate.IdentitySource{{In: "header", Name: "authorization"}}}
	if change != nil {
		change(a)
	}
	return a
}

func lineSeq(h http.Header) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, values := range h {
			for _, v := range values {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}

func request(path, query string, header ...string) (*casemate.Event, *casemate.Match) {
	h := http.Header{}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	e := &casemate.Event{ID: "11111111-1111-4111-8111-111111111111", Source: casemate.SourceHTTP, Target: casemate.Target{Host: "api.example.com", Method: "GET", Path: path},
		Query: query, Header: h.Values, Headers: lineSeq(h), SourceIP: "192.0.2.7", UserAgent: "test", Received: time.Unix(1_700_000_000, 0), Depth: 3, Trace: casemate.NewTrace()}
	m := &casemate.Match{Version: &casemate.Version{Account: casemate.DefaultPlace.Account}, Route: &casemate.Route{ID: "GET /orders/{id}", App: "shop", Path: "/orders/{id}"},
		Params: map[string]string{"id": strings.TrimPrefix(path, "/orders/")}, Revision: "r1", Resource: casemate.DefaultPlace.RouteARN("shop", "GET", path)}
	return e, m
}

func TestAnswerIsAPrincipal(t *testing.T) {
	c := &corridor{answer: says(allow)}
	r, _ := open(t, c)
	e, m := request("/orders/1", "", "Authorization: word")
	p, err := r.Verify(t.Context(), e, m, asker(nil))
	if err != nil {
		t.Fatal(err)
	}
	if p.Kind != casemate.KindAuthorizer || p.ID != "authorizer/shop/custom|ada" || p.Role != "member" || len(p.Scope) != 1 || p.Tags["app"] != "shop" || p.Tags["authorizer"] != "authorizer/shop/custom" ||
		len(p.Context) != 3 || p.Context["tier"] != "gold" || p.Context["age"] != "7" || p.Context["vip"] != "true" || p.Account != casemate.DefaultPlace.Account {
		t.Errorf("%+v", p)
	}
	q := c.events[0]
	if q.Parent != e.ID || q.Chain != e.ID || q.Depth != 3 || q.ID == e.ID || q.Source != casemate.SourceAuthorizer || q.Target.Function != "warden" || q.Action != "casemate:Authorize" ||
		q.Credential.Kind != casemate.CredentialRun || q.Credential.As.Role != "authorizer/shop/custom" || q.SourceIP != "192.0.2.7" || q.Async || q.Trace.TraceID != e.Trace.TraceID {
		t.Errorf("%+v", q)
	}
}

// What the function gets is what API Gateway sends it.
func TestQuestions(t *testing.T) {
	for name, x := range map[string]struct {
		change func(a *casemate.Authorizer)
		want   map[string]string // JSON at a path of names
	}{
		"token": {func(a *casemate.Authorizer) { a.Type = "token" }, map[string]string{"type": `"TOKEN"`, "authorizationToken": `"word"`,
			"methodArn": `"arn:aws:execute-api:us-east-1:000000000000:shop/$default/GET/orders/1"`}},
		"request 1.0": {nil, map[string]string{"type": `"REQUEST"`, "methodArn": `"arn:aws:execute-api:us-east-1:000000000000:shop/$default/GET/orders/1"`, "resource": `"/orders/{id}"`, "path": `"/orders/1"`,
			"httpMethod": `"GET"`, "headers/authorization": `"word"`, "multiValueHeaders/x-two": `["a","b"]`, "headers/x-two": `"b"`, "queryStringParameters/tenant": `"acme"`, "pathParameters/id": `"1"`,
			"requestContext/identity/sourceIp": `"192.0.2.7"`, "identitySource": `"word"`, "requestContext/requestId": `"11111111-1111-4111-8111-111111111111"`, "stageVariables": `{}`}},
		"request 2.0": {func(a *casemate.Authorizer) { a.Format = "2.0" }, map[string]string{"version": `"2.0"`, "type": `"REQUEST"`, "routeArn": `"arn:aws:execute-api:us-east-1:000000000000:shop/$default/GET/orders/1"`,
			"identitySource": `["word"]`, "routeKey": `"GET /orders/{id}"`, "rawPath": `"/orders/1"`, "rawQueryString": `"tenant=acme"`, "cookies": `["a=1","b=2"]`, "headers/x-two": `"a,b"`,
			"requestContext/http/method": `"GET"`, "requestContext/apiId": `"shop"`, "pathParameters/id": `"1"`, "requestContext/domainPrefix": `"api"`}},
	} {
		c := &corridor{answer: says(allow)}
		r, _ := open(t, c)
		e, m := request("/orders/1", "tenant=acme", "Authorization: word", "X-Two: a", "X-Two: b", "Cookie: a=1; b=2")
		if _, err := r.Verify(t.Context(), e, m, asker(x.change)); err != nil {
			t.Fatal(err)
		}
		for path, want := range x.want {
			at := json.RawMessage(c.events[0].Payload)
			for part := range strings.SplitSeq(path, "/") {
				var object map[string]json.RawMessage
				if err := json.Unmarshal(at, &object); err != nil {
					t.Fatalf("%s: %s: %v", name, path, err)
				}
				at = object[part]
			}
			if string(at) != want {
				t.Errorf("%s: %s is %s", name, path, at)
			}
		}
	}
}

// No answer, a broken one, one that says too much: nobody is let in, and nothing of it is remembered.
func TestFailsClosed(t *testing.T) {
	failing := func(f casemate.Failure, payload string) func(context.Context, *casemate.Event) (*casemate.Result, error) {
		return func(context.Context, *casemate.Event) (*casemate.Result, error) {
			return &casemate.Result{Failure: f, Payload: []byte(payload)}, nil
		}
	}
	refusing := func(err error) func(context.Context, *casemate.Event) (*casemate.Result, error) {
		return func(context.Context, *casemate.Event) (*casemate.Result, error) { return nil, err }
	}
	doc := func(s string) string { return `{"principalId":"ada","policyDocument":` + s + `}` }
	for name, x := range map[string]struct {
		answer func(context.Context, *casemate.Event) (*casemate.Result, error)
		code   casemate.Code
		format string
	}{
		"says Unauthorized":            {failing(casemate.FailureHandled, `{"errorMessage":"Unauthorized"}`), casemate.Unauthenticated, ""},
		"fails":                        {failing(casemate.FailureHandled, `{"errorMessage":"no database"}`), casemate.FunctionFailed, ""},
		"fails with an answer":         {failing(casemate.FailureHandled, allow), casemate.FunctionFailed, ""},
		"crashes with an answer":       {failing(casemate.FailureExit, allow), casemate.FunctionFailed, ""},
		"crashes saying Unauthorized":  {failing(casemate.FailureExit, `{"errorMessage":"Unauthorized"}`), casemate.FunctionFailed, ""},
		"takes too long":               {failing(casemate.FailureTimeout, ""), casemate.FunctionFailed, ""},
		"may not be asked":             {refusing(&casemate.Error{Code: casemate.Forbidden}), casemate.FunctionFailed, ""},
		"is gone":                      {refusing(&casemate.Error{Code: casemate.NotFound}), casemate.FunctionFailed, ""},
		"is throttled":                 {refusing(&casemate.Error{Code: casemate.Exhausted, Retry: 7}), casemate.Exhausted, ""},
		"node has no room":             {refusing(&casemate.Error{Code: casemate.Unavailable}), casemate.Unavailable, ""},
		"breaks":                       {refusing(errors.New("broken")), casemate.FunctionFailed, ""},
		"nothing":                      {says(""), casemate.FunctionFailed, ""},
		"null":                         {says("null"), casemate.FunctionFailed, ""},
		"true":                         {says("true"), casemate.FunctionFailed, "2.0"},
		"a list":                       {says("[" + allow + "]"), casemate.FunctionFailed, ""},
		"text with an answer in it":    {says(`"` + strings.ReplaceAll(allow, `"`, `\"`) + `"`), casemate.FunctionFailed, ""},
		"two answers":                  {says(allow + allow), casemate.FunctionFailed, ""},
		"an empty object":              {says("{}"), casemate.FunctionFailed, ""},
		"no policy":                    {says(`{"principalId":"ada"}`), casemate.FunctionFailed, ""},
		"null policy":                  {says(doc("null")), casemate.FunctionFailed, ""},
		"policy in a text":             {says(doc(`"{}"`)), casemate.FunctionFailed, ""},
		"policy without statements":    {says(doc(`{"Version":"2012-10-17","Statement":[]}`)), casemate.FunctionFailed, ""},
		"policy of no effect":          {says(doc(`{"Version":"2012-10-17","Statement":[{"Action":"*","Resource":"*"}]}`)), casemate.FunctionFailed, ""},
		"policy of another effect":     {says(doc(`{"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}`)), casemate.FunctionFailed, ""},
		"policy with a condition lost": {says(doc(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Conditions":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}`)), casemate.FunctionFailed, ""},
		"policy for somebody":          {says(doc(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`)), casemate.FunctionFailed, ""},
		"policy too large":             {says(doc(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"` + strings.Repeat("x", maxPolicy) + `"}]}`)), casemate.FunctionFailed, ""},
		"nobody":                       {says(strings.Replace(allow, `"ada"`, `""`, 1)), casemate.FunctionFailed, ""},
		"no name":                      {says(strings.Replace(allow, `"principalId":"ada",`, "", 1)), casemate.FunctionFailed, ""},
		"name that is a number":        {says(strings.Replace(allow, `"ada"`, `7`, 1)), casemate.FunctionFailed, ""},
		"name with a line break":       {says(strings.Replace(allow, `"ada"`, `"a\nb"`, 1)), casemate.FunctionFailed, ""},
		"name of somebody else's":      {says(strings.Replace(allow, `"ada"`, `"x|ada"`, 1)), casemate.FunctionFailed, ""},
		"context with an object":       {says(strings.Replace(allow, `"gold"`, `{"a":1}`, 1)), casemate.FunctionFailed, ""},
		"context that is a list":       {says(strings.Replace(allow, `"context":{`, `"context":[{`, 1)), casemate.FunctionFailed, ""},
		"yes in format 1.0":            {says(`{"isAuthorized":true}`), casemate.FunctionFailed, ""},
		"yes as a text":                {says(`{"isAuthorized":"true"}`), casemate.FunctionFailed, "2.0"},
		"yes as a number":              {says(`{"isAuthorized":1}`), casemate.FunctionFailed, "2.0"},
		"yes and a policy":             {says(strings.Replace(allow, "{", `{"isAuthorized":true,`, 1)), casemate.FunctionFailed, "2.0"},
		"neither yes nor no":           {says(`{"isAuthorized":null}`), casemate.FunctionFailed, "2.0"},
		"no":                           {says(`{"isAuthorized":false,"context":{"a":"b"}}`), casemate.Forbidden, "2.0"},
	} {
		c := &corridor{answer: x.answer}
		r, _ := open(t, c)
		e, m := request("/orders/1", "", "Authorization: word")
		a := asker(func(a *casemate.Authorizer) {
			if x.format != "" {
				a.Format = x.format
			}
		})
		p, err := r.Verify(t.Context(), e, m, a)
		if p != nil || err == nil || casemate.CodeOf(err) != x.code {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if x.code == casemate.Forbidden {
			continue // a no is an answer
		}
		c.answer = says(allow)
		if _, err := r.Verify(t.Context(), e, m, asker(nil)); err != nil {
			t.Errorf("%s, then mended: %v", name, err)
		}
	}
}

// Who does not say all that identifies is nobody, and nobody is asked: a flood of those costs no run.
func TestIdentitySources(t *testing.T) {
	c := &corridor{answer: says(allow)}
	r, _ := open(t, c)
	both := asker(func(a *casemate.Authorizer) {
		a.Identity = append(a.Identity, casemate.IdentitySource{In: "query", Name: "tenant"})
	})
	for name, x := range map[string]struct {
		query  string
		header []string
	}{
		"neither": {"", nil}, "header alone": {"", []string{"Authorization: w"}}, "query alone": {"tenant=a", nil}, "empty header": {"tenant=a", []string{"Authorization: "}},
		"empty query": {"tenant=", []string{"Authorization: w"}}, "query twice": {"tenant=a&tenant=b", []string{"Authorization: w"}}, "header twice": {"tenant=a", []string{"Authorization: w", "Authorization: v"}},
		"query broken": {"tenant=%zz", []string{"Authorization: w"}}, "query of another case": {"Tenant=a", []string{"Authorization: w"}}, "too long": {"tenant=a", []string{"Authorization: " + strings.Repeat("w", maxSource+1)}},
	} {
		e, m := request("/orders/1", x.query, x.header...)
		if p, err := r.Verify(t.Context(), e, m, both); p != nil || casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	e, m := request("/orders/1", "tenant=a", "Authorization: w")
	for name, a := range map[string]*casemate.Authorizer{"zero": {}, "no identity": asker(func(a *casemate.Authorizer) { a.Identity = nil }), "no role": asker(func(a *casemate.Authorizer) { a.Role = "" }),
		"path": asker(func(a *casemate.Authorizer) { a.Identity = []casemate.IdentitySource{{In: "path", Name: "id"}} })} {
		if p, err := r.Verify(t.Context(), e, m, a); p != nil || casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if c.asked.Load() != 0 {
		t.Errorf("asked %d times", c.asked.Load())
	}
}

// Format 1.0 has the names of headers as they were sent, 2.0 in lower case.
func TestNamesOfHeaders(t *testing.T) {
	e, m := request("/orders/1", "", "X-Word: w")
	e.Spelled = strings.ToUpper
	for format, name := range map[string]string{"1.0": "X-WORD", "2.0": "x-word"} {
		raw, err := question(e, m, &casemate.Authorizer{Type: "request", Format: format}, []string{"w"})
		var got struct{ Headers map[string]string }
		if err != nil || json.Unmarshal(raw, &got) != nil || len(got.Headers) != 1 || got.Headers[name] != "w" {
			t.Errorf("%s: %s, %v", format, raw, err)
		}
	}
}

// A token that does not match as a whole is nobody's, and nobody is asked.
func TestTokensMatchTheirExpression(t *testing.T) {
	c := &corridor{answer: says(allow)}
	r, _ := open(t, c)
	for _, x := range []struct {
		validate, token string
		asked           bool
	}{
		{`Bearer [a-z]{3}`, "Bearer abc", true}, {`Bearer [a-z]{3}`, "Bearer abcd", false}, {`Bearer [a-z]{3}`, "x Bearer abc", false}, {`a|b`, "ax", false}, {`^a$`, "a", true},
		{`Bearer a`, "Bearer a\nb", false}, {`a(`, "a", false}, {"", "anything", true},
	} {
		e, m := request("/orders/1", "", "Authorization: "+x.token)
		before := c.asked.Load()
		_, err := r.Verify(t.Context(), e, m, asker(func(a *casemate.Authorizer) { a.Type, a.Format, a.Validate, a.TTL = "token", "1.0", x.validate, 0 }))
		if (c.asked.Load() > before) != x.asked || (err == nil) != x.asked || err != nil && casemate.CodeOf(err) != casemate.Unauthenticated {
			t.Errorf("%+v: asked %v, %v", x, c.asked.Load() > before, err)
		}
	}
}

// An answer is for those who showed the same, for the same route, until its time is over or the app is deployed anew.
func TestMemory(t *testing.T) {
	c := &corridor{answer: says(allow)}
	r, now := open(t, c)
	ask := func(want int32, path, word string, a *casemate.Authorizer, change func(*casemate.Match)) {
		t.Helper()
		e, m := request(path, "", "Authorization: "+word)
		if change != nil {
			change(m)
		}
		before := c.asked.Load()
		if _, err := r.Verify(t.Context(), e, m, a); err != nil {
			t.Error(err)
		}
		if got := c.asked.Load() - before; got != want {
			t.Errorf("%s %s: asked %d times", path, word, got)
		}
	}
	a := asker(nil)
	ask(1, "/orders/1", "x", a, nil)
	ask(0, "/orders/1", "x", a, nil)
	ask(0, "/orders/2", "x", a, nil) // its policy is decided on anew
	ask(1, "/orders/1", "y", a, nil)
	ask(1, "/orders/1", "x", a, func(m *casemate.Match) { m.Route = &casemate.Route{ID: "DELETE /orders/{id}", App: "shop"} })
	ask(1, "/orders/1", "x", a, func(m *casemate.Match) { m.Revision = "r2" })
	ask(1, "/orders/1", "x", asker(func(a *casemate.Authorizer) { a.Name = "other" }), nil)
	ask(1, "/orders/1", "x", asker(func(a *casemate.Authorizer) { a.App = "bank" }), nil)
	*now = now.Add(5*time.Minute - time.Second)
	ask(0, "/orders/1", "x", a, nil)
	*now = now.Add(time.Second)
	ask(1, "/orders/1", "x", a, nil)
	never := asker(func(a *casemate.Authorizer) { a.TTL, a.Name = 0, "never" })
	ask(1, "/orders/1", "x", never, nil)
	ask(1, "/orders/1", "x", never, nil)
	c.answer = says(`{"isAuthorized":true}`) // a plain yes is for one path and method
	plain := asker(func(a *casemate.Authorizer) { a.Format, a.Name = "2.0", "plain" })
	ask(1, "/orders/1", "x", plain, nil)
	ask(0, "/orders/1", "x", plain, nil)
	ask(1, "/orders/2", "x", plain, nil)
}

// Two identities that read alike when put together are two.
func TestIdentitiesAreKeptApart(t *testing.T) {
	c := &corridor{answer: says(allow)}
	r, _ := open(t, c)
	a := asker(func(a *casemate.Authorizer) {
		a.Identity = []casemate.IdentitySource{{In: "header", Name: "a"}, {In: "header", Name: "b"}}
	})
	for i, h := range [][]string{{"A: x", "B: yz"}, {"A: xy", "B: z"}, {"A: x1:", "B: z"}, {"A: x,", "B: z"}, {"A: x", "B: ,z"}} {
		e, m := request("/orders/1", "", h...)
		if _, err := r.Verify(t.Context(), e, m, a); err != nil || c.asked.Load() != int32(i+1) {
			t.Errorf("%v: %v, asked %d times", h, err, c.asked.Load())
		}
	}
}

// A thousand who ask the same at once are one question, and all get its answer; so do they when it fails.
func TestOneQuestionAtATime(t *testing.T) {
	for _, fail := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			c := &corridor{answer: func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
				<-gate
				if fail {
					return nil, errors.New("broken")
				}
				return &casemate.Result{Payload: []byte(allow)}, nil
			}}
			r, _ := open(t, c)
			var all sync.WaitGroup
			var ok atomic.Int32
			for range 1000 {
				all.Go(func() {
					e, m := request("/orders/1", "", "Authorization: word")
					if _, err := r.Verify(t.Context(), e, m, asker(nil)); err == nil {
						ok.Add(1)
					}
				})
			}
			synctest.Wait()
			ctx, cancel := context.WithCancel(t.Context()) // who goes away does not take the others along
			all.Go(func() {
				e, m := request("/orders/1", "", "Authorization: word")
				if _, err := r.Verify(ctx, e, m, asker(nil)); !errors.Is(err, context.Canceled) {
					t.Errorf("gone: %v", err)
				}
			})
			synctest.Wait()
			cancel()
			synctest.Wait()
			close(gate)
			all.Wait()
			if want := map[bool]int32{false: 1000, true: 0}[fail]; c.asked.Load() != 1 || ok.Load() != want {
				t.Errorf("asked %d times, %d let in", c.asked.Load(), ok.Load())
			}
			if len(r.asking) != 0 {
				t.Error("a question is left")
			}
		})
	}
}

// The one who asks may go away: the answer is for the others, too. A function that never answers is given up.
func TestQuestionOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &corridor{answer: func(ctx context.Context, e *casemate.Event) (*casemate.Result, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		r, _ := open(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		e, m := request("/orders/1", "", "Authorization: word")
		if _, err := r.Verify(ctx, e, m, asker(nil)); casemate.CodeOf(err) != casemate.FunctionFailed {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took != patience {
			t.Errorf("given up after %s", took)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	r, now := open(t, &corridor{})
	put := func(i int, id string) key {
		k := key{byte(i), byte(i >> 8), byte(i >> 16), byte(len(id))}
		s := &said{until: now.Add(time.Minute)}
		if id != "" {
			s.who = &casemate.Principal{ID: id}
		}
		r.memory.put(k, s)
		return k
	}
	mine := put(1<<20, "ada")
	for i := range 10 * maxYes { // one who varies what it shows
		put(i, "eve")
	}
	for i := range 10 * maxNo { // one who guesses
		put(i, "")
	}
	if r.memory.get(mine, *now) == nil {
		t.Error("one caller pushed out another")
	}
	if n := r.memory.of["eve"]; n != maxOfOne || len(r.memory.no.by) != maxNo {
		t.Errorf("%d of one principal, %d noes", n, len(r.memory.no.by))
	}
	for i := range 2 * maxYes {
		put(i, fmt.Sprint("p", i))
	}
	if len(r.memory.yes.by) != maxYes || r.memory.yes.order.Len() != maxYes || len(r.memory.of) != maxYes {
		t.Errorf("%d yeses of %d principals", len(r.memory.yes.by), len(r.memory.of))
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{allow, `{"isAuthorized":true}`, `{"isAuthorized":false}`, "{}", `{"policyDocument":{}}`} {
		f.Add([]byte(s), "1.0")
		f.Add([]byte(s), "2.0")
	}
	r, _ := open(f, &corridor{})
	f.Fuzz(func(t *testing.T, raw []byte, format string) {
		s, err := r.read(&casemate.Result{Payload: raw}, asker(func(a *casemate.Authorizer) { a.Format = format }), []string{"x"})
		if err != nil || s.who == nil {
			return
		}
		var x struct {
			Authorized any `json:"isAuthorized"`
		}
		if json.Unmarshal(raw, &x) != nil || s.who.Scope == nil && (x.Authorized != true || format != "2.0") {
			t.Fatalf("%q lets %+v in", raw, s.who)
		}
		if s.who.Role != "member" || !strings.HasPrefix(s.who.ID, "authorizer/shop/custom|") {
			t.Fatalf("%q is %+v", raw, s.who)
		}
	})
}

func BenchmarkRemembered(b *testing.B) {
	r, _ := open(b, &corridor{answer: says(allow)})
	e, m := request("/orders/1", "", "Authorization: word")
	a := asker(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Verify(b.Context(), e, m, a); err != nil {
			b.Fatal(err)
		}
	}
}
