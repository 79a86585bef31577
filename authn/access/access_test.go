package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.uber.org/goleak"

	"casemate"
	"casemate/internal/casetest/vault"
	"casemate/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a room, the world around it, and a client with one key.
type desk struct {
	*Room
	t     testing.TB
	now   time.Time
	vault *vault.Memory
	store store.Store
	roles map[string]bool
	gone  map[string]bool // origins that do not stand any more
	creds aws.Credentials
	key   Key
}

var monday = time.Date(2026, 11, 16, 9, 0, 0, 0, time.UTC)

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{t: t, now: monday, vault: vault.New(), roles: map[string]bool{"clerk": true, "deployer": true}, gone: map[string]bool{}}
	d.store = store.Memory(func() time.Time { return d.now })
	d.reopen()
	d.now = d.now.Add(time.Minute) // what was signed before the start is another matter
	d.creds, d.key = d.mint(KeyRequest{User: "ada", Role: "clerk"})
	return d
}

func (d *desk) reopen() {
	d.t.Helper()
	r, err := Open(context.Background(), Config{Store: d.store, Vault: d.vault, Place: casemate.DefaultPlace, Clock: func() time.Time { return d.now },
		Role: func(name string) bool { return d.roles[name] }, Stands: func(origin string) bool { return !d.gone[origin] }})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = r.Close() })
	d.Room = r
}

func (d *desk) mint(q KeyRequest) (aws.Credentials, Key) {
	d.t.Helper()
	secret, k, err := d.Create(context.Background(), q)
	if err != nil {
		d.t.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: secret}, k
}

// asked is a request as a front makes an event of it.
type asked struct {
	method, target, service string
	header                  map[string]string
	body                    string
	undeclared              bool // the client does not send its body's hash
	creds                   aws.Credentials
}

func order() asked {
	return asked{method: "POST", target: "https://api.example/shop/order?a=1&b=%20x", service: "execute-api", header: map[string]string{"Content-Type": "application/json", "X-Amz-Meta-Note": "n"}, body: `{"n":1}`}
}

func look() asked {
	return asked{method: "GET", target: "https://api.example/shop/look", service: "execute-api"}
}

func (d *desk) request(a asked) *http.Request {
	d.t.Helper()
	r, err := http.NewRequest(a.method, a.target, strings.NewReader(a.body))
	if err != nil {
		d.t.Fatal(err)
	}
	for k, v := range a.header {
		r.Header.Set(k, v)
	}
	return r
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// sign has the SDK sign a request in its headers.
func (d *desk) sign(a asked) *casemate.Event {
	d.t.Helper()
	r := d.request(a)
	if !a.undeclared {
		r.Header.Set("X-Amz-Content-Sha256", hashOf(a.body))
	}
	creds := d.creds
	if a.creds.AccessKeyID != "" {
		creds = a.creds
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hashOf(a.body), a.service, "us-east-1", d.now); err != nil {
		d.t.Fatal(err)
	}
	return event(r, a.body)
}

// presign has the SDK sign a request in its query.
func (d *desk) presign(a asked, seconds int) *casemate.Event {
	d.t.Helper()
	r := d.request(a)
	q := r.URL.Query()
	q.Set("X-Amz-Expires", fmt.Sprint(seconds))
	r.URL.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	creds := d.creds
	if a.creds.AccessKeyID != "" {
		creds = a.creds
	}
	target, header, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, hashOf(a.body), a.service, "us-east-1", d.now)
	if err != nil {
		d.t.Fatal(err)
	}
	signed, err := http.NewRequest(a.method, target, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	signed.Header = header
	signed.Header.Del("Host")
	return event(signed, a.body)
}

func event(r *http.Request, body string) *casemate.Event {
	s := &casemate.Signed{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: map[string][]string{"host": {r.URL.Host}}}
	for k, v := range r.Header {
		s.Header[strings.ToLower(k)] = v
	}
	e := &casemate.Event{Source: casemate.SourceHTTP, SourceIP: "192.0.2.1", Size: int64(len(body)), Credential: casemate.Credential{Kind: casemate.CredentialAccess, Signed: s},
		Target: casemate.Target{Method: r.Method, Path: s.Path}}
	if body != "" {
		s.Header["content-length"] = []string{fmt.Sprint(len(body))}
		e.Body = strings.NewReader(body)
	}
	return e
}

func route() *casemate.Match { return &casemate.Match{Route: &casemate.Route{ID: "POST /shop/{what}"}} }

// enter goes the way of the gate: who, then the body.
func (d *desk) enter(e *casemate.Event, m *casemate.Match) (*casemate.Principal, string, error) {
	p, err := d.Verify(context.Background(), e, m)
	if err != nil {
		if p != nil {
			d.t.Errorf("a refusal with a principal: %+v", p)
		}
		return nil, "", err
	}
	raw := e.Payload
	if e.Body != nil {
		if raw, err = io.ReadAll(e.Body); err != nil {
			return nil, "", err
		}
	}
	if p.Body != nil {
		err = p.Body(raw)
	}
	return p, string(raw), err
}

func cause(err error) error {
	if e := casemate.AsError(err); e != nil && e.Err != nil {
		return e.Err
	}
	return err
}

func TestAKeyIsItsUser(t *testing.T) {
	d := newDesk(t)
	for name, e := range map[string]*casemate.Event{"declared": d.sign(order()), "undeclared": d.sign(func() asked { a := order(); a.undeclared, a.header["X-Other"] = true, "1"; return a }()), "without a body": d.sign(look()), "in the query": d.presign(look(), 60)} {
		p, body, err := d.enter(e, route())
		if err != nil {
			t.Errorf("%s: %v", name, cause(err))
			continue
		}
		if p.Kind != casemate.KindAccess || p.ID != "user/ada" || p.ARN != "arn:aws:iam::000000000000:user/ada" || p.Role != "clerk" || !p.Expires.Equal(d.key.Expires) {
			t.Errorf("%s: %+v", name, p)
		}
		if e.Credential.Signed.Method == "POST" && body != `{"n":1}` {
			t.Errorf("%s: body %q", name, body)
		}
	}
	if k := d.List()[0]; k.LastUsed.IsZero() || k.ID != d.key.ID {
		t.Errorf("%+v", k)
	}
	for name, held := range d.vault.Held {
		if name != d.key.ID || string(held) != d.creds.SecretAccessKey {
			t.Errorf("the vault holds %s", name)
		}
	}
	all, err := d.keys.List(t.Context(), "")
	if err != nil || len(all) != 1 || bytes.Contains(all[0].Value, []byte(d.creds.SecretAccessKey)) {
		t.Errorf("the store holds %s, %v", all[0].Value, err)
	}
}

// TestAttacksOnSignatures changes one thing at a time about a request that holds.
func TestAttacksOnSignatures(t *testing.T) {
	header := func(name, value string) func(*desk, *casemate.Event, *casemate.Match) {
		return func(_ *desk, e *casemate.Event, _ *casemate.Match) {
			e.Credential.Signed.Header[name] = []string{value}
		}
	}
	authorization := func(old, new string) func(*desk, *casemate.Event, *casemate.Match) {
		return func(_ *desk, e *casemate.Event, _ *casemate.Match) {
			a := e.Credential.Signed.Header["authorization"]
			was := a[0]
			if a[0] = strings.Replace(was, old, new, 1); a[0] == was {
				panic("the attack changes nothing: " + old)
			}
		}
	}
	query := func(old, new string) func(*desk, *casemate.Event, *casemate.Match) {
		return func(_ *desk, e *casemate.Event, _ *casemate.Match) {
			s := e.Credential.Signed
			was := s.Query
			if s.Query = strings.Replace(was, old, new, 1); s.Query == was {
				panic("the attack changes nothing: " + old)
			}
		}
	}
	signed := func(change func(*casemate.Signed)) func(*desk, *casemate.Event, *casemate.Match) {
		return func(_ *desk, e *casemate.Event, _ *casemate.Match) { change(e.Credential.Signed) }
	}
	anyForm := map[string]func(*desk, *casemate.Event, *casemate.Match){
		"another method":     signed(func(s *casemate.Signed) { s.Method = "DELETE" }),
		"another path":       signed(func(s *casemate.Signed) { s.Path = "/shop/other" }),
		"a path with dots":   signed(func(s *casemate.Signed) { s.Path = "/shop/./order" }),
		"one more parameter": signed(func(s *casemate.Signed) { s.Query += "&c=3" }),
		"a parameter twice":  signed(func(s *casemate.Signed) { s.Query += "&a=1" }),
		"another host":       header("host", "evil.example"),
		"two hosts":          signed(func(s *casemate.Signed) { s.Header["host"] = append(s.Header["host"], "evil.example") }),
		"an unsigned x-amz":  header("x-amz-invocation-type", "Event"),
		"another token":      header("x-amz-security-token", "cs1.AAAA"),
		"revoked":            func(d *desk, _ *casemate.Event, _ *casemate.Match) { _, _ = d.Revoke(context.Background(), d.key.ID) },
		"expired key": func(d *desk, _ *casemate.Event, _ *casemate.Match) {
			k := (*d.known.Load())[d.key.ID]
			k.Expires = d.now
		},
		"another service": func(_ *desk, _ *casemate.Event, m *casemate.Match) { m.Route.URL = true },
		"another place":   func(d *desk, _ *casemate.Event, _ *casemate.Match) { d.cfg.Place.Region = "eu-central-1" },
		"from a sandbox":  signed(func(s *casemate.Signed) { s.Sandbox = "box" }),
		"as somebody's":   func(_ *desk, e *casemate.Event, _ *casemate.Match) { e.Credential.As = &casemate.Principal{ID: "x"} },
		"with a secret":   func(_ *desk, e *casemate.Event, _ *casemate.Match) { e.Credential.Secret = "x" },
		"nothing":         func(_ *desk, e *casemate.Event, _ *casemate.Match) { e.Credential.Signed = nil },
		"signed in two ways": signed(func(s *casemate.Signed) {
			s.Query += "&X-Amz-Algorithm=AWS4-HMAC-SHA256"
			s.Header["authorization"] = []string{"AWS4-HMAC-SHA256 x"}
		}),
		"from the far future": func(d *desk, _ *casemate.Event, _ *casemate.Match) { d.now = d.now.Add(-skew - time.Second) },
	}
	inHeader := map[string]func(*desk, *casemate.Event, *casemate.Match){
		"late":                    func(d *desk, _ *casemate.Event, _ *casemate.Match) { d.now = d.now.Add(skew + time.Second) },
		"another body":            func(_ *desk, e *casemate.Event, _ *casemate.Match) { e.Body = strings.NewReader(`{"n":2}`) },
		"no body":                 func(_ *desk, e *casemate.Event, _ *casemate.Match) { e.Body, e.Size = nil, 0 },
		"a longer body":           func(_ *desk, e *casemate.Event, _ *casemate.Match) { e.Body = strings.NewReader(`{"n":1} `) },
		"an unsigned payload":     header("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
		"an unsigned stream":      header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
		"a stream":                header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
		"another payload":         header("x-amz-content-sha256", hashOf("")),
		"a payload in capitals":   header("x-amz-content-sha256", strings.ToUpper(hashOf(`{"n":1}`))),
		"another date":            header("x-amz-date", "20261116T090101Z"),
		"two dates":               signed(func(s *casemate.Signed) { s.Header["x-amz-date"] = append(s.Header["x-amz-date"], "20261116T090101Z") }),
		"a changed signed header": header("x-amz-meta-note", "m"),
		"a signed header gone":    signed(func(s *casemate.Signed) { delete(s.Header, "x-amz-meta-note") }),
		"another algorithm":       authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
		"SigV4A":                  authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
		"another region":          authorization("/us-east-1/", "/us-west-2/"),
		"another scope":           authorization("/execute-api/", "/lambda/"),
		"another day":             authorization("/20261116/", "/20261115/"),
		"an unknown key":          authorization("AKIA", "AKIB"),
		"a session's key":         authorization("AKIA", "ASIA"),
		"host not signed":         authorization("host;", ""),
		"date not signed":         authorization("x-amz-date", "x-amz-datf"),
		"a name twice":            authorization("host;", "host;host;"),
		"a parameter twice":       authorization("Signature=", "Signature=00, Signature="),
		"no signature":            authorization("Signature=", "Sig="),
		"two authorizations": signed(func(s *casemate.Signed) {
			s.Header["authorization"] = append(s.Header["authorization"], "AWS4-HMAC-SHA256 x")
		}),
		"zeros": signed(func(s *casemate.Signed) {
			a := s.Header["authorization"]
			a[0] = a[0][:strings.Index(a[0], "Signature=")+10] + strings.Repeat("0", 64)
		}),
	}
	inQuery := map[string]func(*desk, *casemate.Event, *casemate.Match){
		"after it expired":       func(d *desk, _ *casemate.Event, _ *casemate.Match) { d.now = d.now.Add(time.Minute) },
		"a longer life":          query("X-Amz-Expires=60", "X-Amz-Expires=600"),
		"a life of eight days":   query("X-Amz-Expires=60", "X-Amz-Expires=691200"),
		"no life":                query("X-Amz-Expires=60", "X-Amz-Expires=0"),
		"an odd life":            query("X-Amz-Expires=60", "X-Amz-Expires=060"),
		"a life twice":           query("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Expires=6000"),
		"a life in small":        query("X-Amz-Expires=60", "X-Amz-Expires=60&x-amz-expires=6000"),
		"a life percent-encoded": query("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-%45xpires=6000"),
		"without a life":         query("X-Amz-Expires=60&", ""),
		"a date in the headers":  header("x-amz-date", "20261116T090100Z"),
		"an unsigned session":    query("X-Amz-Expires=60", "X-Amz-Expires=60&X-Amz-Security-Token=cs1.AA"),
		"another body":           func(_ *desk, e *casemate.Event, _ *casemate.Match) { e.Body, e.Size = strings.NewReader("x"), 1 },
		"another algorithm":      query("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-HMAC-SHA1"),
		"another date":           query("X-Amz-Date=20261116T090100Z", "X-Amz-Date=20261116T090130Z"),
		"an unsigned header":     header("x-amz-content-sha256", hashOf("x")),
	}
	run := func(form string, attacks map[string]func(*desk, *casemate.Event, *casemate.Match), make func(*desk) *casemate.Event) {
		for name, attack := range attacks {
			d := newDesk(t)
			if _, _, err := d.enter(make(d), route()); err != nil {
				t.Fatalf("%s, before the attack: %v", form, cause(err))
			}
			d.replays = newReplays(monday)
			e, m := make(d), route()
			attack(d, e, m)
			if _, _, err := d.enter(e, m); casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
				t.Errorf("%s, %s: %v", form, name, err)
			}
		}
	}
	header1 := func(d *desk) *casemate.Event { return d.sign(order()) }
	query1 := func(d *desk) *casemate.Event {
		return d.presign(asked{method: "GET", target: "https://api.example/shop/look?a=1", service: "execute-api"}, 60)
	}
	run("header", anyForm, header1)
	run("header", inHeader, header1)
	run("query", anyForm, query1)
	run("query", inQuery, query1)
}

// TestRefusalsTellNothing: a key that never was, one that was revoked and a wrong secret are one answer; the record tells
// them apart.
func TestRefusalsTellNothing(t *testing.T) {
	d := newDesk(t)
	wrong, unknown := d.creds, d.creds
	wrong.SecretAccessKey += "x"
	unknown.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA"
	old, k := d.mint(KeyRequest{User: "ada", Role: "clerk"})
	if _, err := d.Revoke(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	var said, causes []string
	for _, c := range []aws.Credentials{wrong, unknown, old} {
		a := look()
		a.creds = c
		_, err := d.Verify(t.Context(), d.sign(a), route())
		e := casemate.AsError(err)
		said, causes = append(said, e.Error()+e.Hint+e.AWS), append(causes, fmt.Sprint(e.Err))
	}
	if said[0] != said[1] || said[1] != said[2] {
		t.Errorf("%q", said)
	}
	if causes[0] == causes[1] || causes[1] == causes[2] {
		t.Errorf("%q", causes)
	}
	if _, held := d.vault.Held[k.ID]; held {
		t.Error("the secret of a revoked key is still there")
	}
}

func sts(a asked) asked { a.service = "sts"; return a }
func sqs(a asked) asked { a.service = "sqs"; return a }

func issuing(e *casemate.Event, operation string) *casemate.Event {
	e.Target.Builtin = operation
	return e
}

func TestReplays(t *testing.T) {
	again := func(e *casemate.Event) *casemate.Event {
		c, s := *e, *e.Credential.Signed
		c.Credential.Signed = &s
		s.Header = map[string][]string{}
		for k, v := range e.Credential.Signed.Header {
			s.Header[k] = v
		}
		if e.Size > 0 {
			c.Body = strings.NewReader(`{"n":1}`)
		}
		return &c
	}
	put := func(a asked, method string) asked { a.method = method; return a }
	for _, c := range []struct {
		name string
		make func(*desk) *casemate.Event
		then func(*desk, *casemate.Event)
		ok   bool
	}{
		{"a POST", func(d *desk) *casemate.Event { return d.sign(order()) }, nil, false},
		{"a PUT", func(d *desk) *casemate.Event { return d.sign(put(order(), "PUT")) }, nil, false},
		{"a DELETE", func(d *desk) *casemate.Event { return d.sign(put(look(), "DELETE")) }, nil, false},
		{"a GET", func(d *desk) *casemate.Event { return d.sign(look()) }, nil, true},
		{"a HEAD", func(d *desk) *casemate.Event { return d.sign(put(look(), "HEAD")) }, nil, true},
		{"a GET that issues credentials", func(d *desk) *casemate.Event { return issuing(d.sign(sts(look())), "sts.GetSessionToken") }, nil, false},
		{"the same in the query", func(d *desk) *casemate.Event { return issuing(d.presign(sts(look()), 60), "sts.AssumeRole") }, nil, false},
		{"a GET that sends", func(d *desk) *casemate.Event { return issuing(d.sign(sqs(look())), "sqs.SendMessage") }, nil, false},
		{"the same in the query", func(d *desk) *casemate.Event { return issuing(d.presign(sqs(look()), 60), "sqs.SendMessage") }, nil, false},
		{"a PUT in the query that sends", func(d *desk) *casemate.Event {
			return issuing(d.presign(put(sqs(look()), "PUT"), 60), "sqs.SendMessage")
		}, nil, false},
		{"a GET that lists", func(d *desk) *casemate.Event { return issuing(d.sign(sqs(look())), "sqs.ListQueues") }, nil, true},
		{"a GET that asks who one is", func(d *desk) *casemate.Event { return issuing(d.sign(sts(look())), "sts.GetCallerIdentity") }, nil, true},
		{"a GET in the query", func(d *desk) *casemate.Event { return d.presign(look(), 60) }, nil, true},
		{"a PUT in the query", func(d *desk) *casemate.Event { return d.presign(put(look(), "PUT"), 60) }, nil, true},
		{"a POST in the query", func(d *desk) *casemate.Event { return d.presign(put(look(), "POST"), 60) }, nil, false},
		{"a POST at the window's end", func(d *desk) *casemate.Event { return d.sign(order()) }, func(d *desk, _ *casemate.Event) { d.now = d.now.Add(skew) }, false},
		{"an SDK's next call", func(d *desk) *casemate.Event { return d.sign(order()) }, func(_ *desk, e *casemate.Event) {
			e.Credential.Signed.Header["amz-sdk-invocation-id"] = []string{"b"}
		}, true},
		{"an SDK's call from elsewhere", func(d *desk) *casemate.Event { return d.sign(order()) }, func(_ *desk, e *casemate.Event) {
			e.Credential.Signed.Header["amz-sdk-invocation-id"], e.SourceIP = []string{"b"}, "192.0.2.2"
		}, false},
		{"an SDK's call later", func(d *desk) *casemate.Event { return d.sign(order()) }, func(d *desk, e *casemate.Event) {
			e.Credential.Signed.Header["amz-sdk-invocation-id"], d.now = []string{"b"}, d.now.Add(repeatTime+time.Second)
		}, false},
	} {
		d := newDesk(t)
		e := c.make(d)
		second := again(e)
		if _, _, err := d.enter(e, route()); err != nil {
			t.Fatalf("%s: %v", c.name, cause(err))
		}
		if c.then != nil {
			c.then(d, second)
		}
		third := again(second)
		if _, _, err := d.enter(second, route()); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.ok && second.Credential.Signed.Header["amz-sdk-invocation-id"] != nil {
			if _, _, err := d.enter(third, route()); err == nil {
				t.Errorf("%s: the very same request again", c.name)
			}
		}
	}
}

// TestReplayMemoryIsBounded: what is forgotten is refused, and nobody's signatures are forgotten for another's.
func TestReplayMemoryIsBounded(t *testing.T) {
	d := newDesk(t)
	e := d.sign(order())
	if _, _, err := d.enter(e, route()); err != nil {
		t.Fatal(err)
	}
	m := d.replays.by["access/"+d.key.ID]
	minute := d.now.Add(skew).Unix() / 60
	for i := range ownMarks { // another million requests of this minute, without their signatures
		m.minutes[minute][digest{byte(i), byte(i >> 8), byte(i >> 16), 1}] = struct{}{}
	}
	m.n, d.replays.total = len(m.minutes[minute]), len(m.minutes[minute])
	d.now = d.now.Add(time.Second)
	if _, _, err := d.enter(d.sign(order()), route()); err != nil {
		t.Errorf("the request that filled the memory: %v", err)
	}
	if m.n > ownMarks || d.replays.total != m.n {
		t.Errorf("%d marks, %d in all", m.n, d.replays.total)
	}
	e.Body = strings.NewReader(`{"n":1}`)
	if _, _, err := d.enter(e, route()); err == nil {
		t.Error("a signature that was forgotten is taken again")
	}
	d.now = d.now.Add(time.Minute)
	if _, _, err := d.enter(d.sign(order()), route()); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	creds, _ := d.mint(KeyRequest{User: "bob", Role: "clerk"})
	a := order()
	a.creds = creds
	if _, _, err := d.enter(d.sign(a), route()); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// TestARestartForgetsNothing: what was signed before it is refused, and what is signed after it is taken.
func TestARestartForgetsNothing(t *testing.T) {
	d := newDesk(t)
	e := d.sign(order())
	if _, _, err := d.enter(e, route()); err != nil {
		t.Fatal(err)
	}
	get := d.sign(look())
	d.now = d.now.Add(time.Minute)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.reopen()
	e.Body = strings.NewReader(`{"n":1}`)
	if _, _, err := d.enter(e, route()); err == nil || casemate.AsError(err).AWS != "RequestTimeTooSkewed" {
		t.Errorf("a replay across a restart: %v", err)
	}
	if _, _, err := d.enter(get, route()); err != nil {
		t.Errorf("a look: %v", err)
	}
	if _, _, err := d.enter(d.sign(order()), route()); err != nil {
		t.Errorf("a new request: %v", cause(err))
	}
	if k := d.List()[0]; k.LastUsed.IsZero() {
		t.Error("the last use is forgotten")
	}
}

func TestRotation(t *testing.T) {
	d := newDesk(t)
	second, k2 := d.mint(KeyRequest{User: "ada", Role: "clerk"})
	if _, _, err := d.Create(t.Context(), KeyRequest{User: "ada", Role: "clerk"}); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("a third live key: %v", err)
	}
	if _, _, err := d.Create(t.Context(), KeyRequest{User: "ada", Role: "deployer"}); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("a second role: %v", err)
	}
	if _, err := d.Revoke(t.Context(), d.key.ID); err != nil {
		t.Fatal(err)
	}
	a := look()
	if _, _, err := d.enter(d.sign(a), route()); err == nil {
		t.Error("the revoked key opens")
	}
	a.creds = second
	p, _, err := d.enter(d.sign(a), route())
	if err != nil || p.ID != "user/ada" {
		t.Fatalf("%+v, %v", p, err)
	}
	d.now = k2.Expires
	if _, _, err := d.enter(d.sign(a), route()); err == nil {
		t.Error("the expired key opens")
	}
	for _, q := range []KeyRequest{{User: "", Role: "clerk"}, {User: "a b", Role: "clerk"}, {User: "ck_x", Role: "clerk"}, {User: "a", Role: ""}, {User: "a", Role: "function/x"},
		{User: "a", Role: "clerk", TTL: time.Second}, {User: "a", Role: "clerk", TTL: -time.Hour}, {User: "a", Role: "clerk", TTL: MaxTTL + 1}, {User: "a", Role: "clerk", Scope: []casemate.Statement{}}} {
		if _, _, err := d.Create(t.Context(), q); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// TestUnknownKeysReadNoBody: who has no key of ours does not make the node read.
func TestUnknownKeysReadNoBody(t *testing.T) {
	d := newDesk(t)
	a := order()
	a.undeclared, a.creds = true, aws.Credentials{AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: "x"}
	e := d.sign(a)
	e.Body = unreadable{t}
	if _, err := d.Verify(t.Context(), e, route()); err == nil {
		t.Error("an unknown key")
	}
	a.creds = d.creds
	e = d.sign(a)
	e.Size, e.Body = 7<<20, unreadable{t}
	if _, err := d.Verify(t.Context(), e, route()); casemate.CodeOf(err) != casemate.TooLarge {
		t.Errorf("a body beyond the bound: %v", err)
	}
	e = d.sign(a)
	e.Size, e.Body = -1, strings.NewReader(strings.Repeat("x", 100))
	if _, err := d.Verify(t.Context(), e, &casemate.Match{Route: &casemate.Route{Request: 99}}); casemate.CodeOf(err) != casemate.TooLarge {
		t.Errorf("a body beyond the route's bound: %v", err)
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, errors.New("read")
}

func BenchmarkVerify(b *testing.B) {
	d := newDesk(b)
	e := d.sign(look())
	m := route()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Verify(context.Background(), e, m); err != nil {
			b.Fatal(err)
		}
	}
}

// TestGoodSignaturesThatDoNotCount: each is right in itself, by who has the key.
func TestGoodSignaturesThatDoNotCount(t *testing.T) {
	d := newDesk(t)
	if _, _, err := d.enter(d.presign(look(), 604800), route()); err != nil {
		t.Errorf("a link for a week: %v", cause(err))
	}
	if _, _, err := d.enter(d.presign(look(), 604801), route()); casemate.AsError(err) == nil || casemate.AsError(err).AWS != "AuthorizationQueryParametersError" {
		t.Errorf("a link for longer: %v", err)
	}
	a := order()
	a.undeclared, a.header["X-Amz-Content-Sha256"] = true, "UNSIGNED-PAYLOAD"
	r := d.request(a)
	if err := v4.NewSigner().SignHTTP(context.Background(), d.creds, r, "UNSIGNED-PAYLOAD", a.service, "us-east-1", d.now); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.enter(event(r, a.body), route()); err == nil || !strings.Contains(err.Error(), "the body must be signed") {
		t.Errorf("an unsigned payload: %v", err)
	}
	for name, service := range map[string]string{"of a function URL": "lambda", "of a store": "s3", "of nothing": "x"} {
		a := look()
		a.service = service
		if _, _, err := d.enter(d.sign(a), route()); err == nil {
			t.Errorf("a signature %s", name)
		}
	}
}

// TestEqualCallsOfManyWorkers: a signature may stand for as many calls as its bound says, and for none more.
func TestEqualCallsOfManyWorkers(t *testing.T) {
	now, id := time.Unix(1e9, 0), digest{1}
	m := &marks{fresh: map[digest]*first{id: {at: now, source: "192.0.2.1"}}}
	for i := range mostRepeats {
		if !m.again(id, "192.0.2.1", now) {
			t.Fatalf("the call after %d others is refused", i+1)
		}
	}
	if m.again(id, "192.0.2.1", now) {
		t.Error("a signature holds without a bound")
	}
}
