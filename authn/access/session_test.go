package access

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"casemate"
)

func (d *desk) assume(q casemate.SessionRequest) (aws.Credentials, casemate.SessionKey) {
	d.t.Helper()
	k, err := d.Assume(context.Background(), q)
	if err != nil {
		d.t.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret, SessionToken: k.Token}, k
}

// ada is the principal of the desk's key, as it signs.
func (d *desk) ada() *casemate.Principal {
	d.t.Helper()
	p, _, err := d.enter(d.sign(look()), route())
	if err != nil {
		d.t.Fatal(cause(err))
	}
	return p
}

func (d *desk) request1(role string) casemate.SessionRequest {
	return casemate.SessionRequest{Role: role, Name: "build", Life: time.Hour, By: d.ada(), Tags: map[string]string{"team": "blue"}, SourceIdentity: "ada"}
}

func as(c aws.Credentials) asked {
	a := look()
	a.creds = c
	return a
}

func TestASessionIsItsRole(t *testing.T) {
	d := newDesk(t)
	creds, k := d.assume(d.request1("deployer"))
	for name, e := range map[string]*casemate.Event{"header": d.sign(as(creds)), "query": d.presign(as(creds), 60)} {
		p, _, err := d.enter(e, route())
		if err != nil {
			t.Fatalf("%s: %v", name, cause(err))
		}
		if p.Kind != casemate.KindSession || p.Role != "deployer" || p.ARN != "arn:aws:sts::000000000000:assumed-role/deployer/build" || p.Tags["team"] != "blue" ||
			p.SourceIdentity != "ada" || !p.Expires.Equal(d.now.Add(time.Hour)) {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for _, secret := range []string{creds.SecretAccessKey, "blue", "deployer"} {
		if strings.Contains(creds.SessionToken, secret) {
			t.Errorf("the token shows %q", secret)
		}
	}
	if text := k.String(); strings.Contains(text, k.Secret) || strings.Contains(text, k.Token) {
		t.Error("a session prints its secrets")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(time.Minute)
	d.reopen()
	if _, _, err := d.enter(d.sign(as(creds)), route()); err != nil {
		t.Errorf("after a restart: %v", cause(err))
	}
}

// TestSessionsDie: by their time, their role, what they came from, and on command.
func TestSessionsDie(t *testing.T) {
	chained := func(d *desk, c aws.Credentials) aws.Credentials {
		p, _, err := d.enter(d.sign(as(c)), route())
		if err != nil {
			d.t.Fatal(cause(err))
		}
		next, _ := d.assume(casemate.SessionRequest{Role: "clerk", Name: "next", Life: time.Hour, By: p})
		return next
	}
	for name, end := range map[string]func(*desk, casemate.SessionKey) error{
		"its time": func(d *desk, k casemate.SessionKey) error { d.now = k.Expires; return nil },
		"its role is gone": func(d *desk, _ casemate.SessionKey) error {
			delete(d.roles, "deployer")
			return d.CutRole(t.Context(), "deployer")
		},
		"its key is revoked": func(d *desk, _ casemate.SessionKey) error {
			_, err := d.Revoke(t.Context(), d.key.ID)
			return err
		},
		"it is revoked":      func(d *desk, k casemate.SessionKey) error { return d.CutSession(t.Context(), k.ID) },
		"its role's are cut": func(d *desk, _ casemate.SessionKey) error { return d.CutRole(t.Context(), "deployer") },
	} {
		d := newDesk(t)
		creds, k := d.assume(d.request1("deployer"))
		next := chained(d, creds)
		p, _, err := d.enter(d.sign(as(creds)), route())
		if err != nil {
			t.Fatal(cause(err))
		}
		if err := end(d, k); err != nil {
			t.Fatal(err)
		}
		if name == "its role is gone" {
			d.roles["deployer"] = true // and comes back
		}
		for what, c := range map[string]aws.Credentials{"the session": creds, "one that came from it": next} {
			if _, _, err := d.enter(d.sign(as(c)), route()); err == nil {
				t.Errorf("%s: %s lives on", name, what)
			}
		}
		if _, err := d.Still(p); (err == nil) != (name == "its time") {
			t.Errorf("%s: what it queued: %v", name, err)
		}
		if name == "its time" || name == "its key is revoked" {
			continue
		}
		d.now = d.now.Add(2 * time.Second)
		again, _ := d.assume(d.request1("deployer"))
		if _, _, err := d.enter(d.sign(as(again)), route()); err != nil {
			t.Errorf("%s: a session after it: %v", name, cause(err))
		}
	}
}

func TestExpiryIsSaidToItsHolderAlone(t *testing.T) {
	d := newDesk(t)
	creds, k := d.assume(d.request1("deployer"))
	d.now = k.Expires.Add(time.Minute)
	_, _, err := d.enter(d.sign(as(creds)), route())
	if e := casemate.AsError(err); err == nil || e.AWS != "ExpiredToken" {
		t.Errorf("%v", err)
	}
	creds.SecretAccessKey += "x"
	_, _, err = d.enter(d.sign(as(creds)), route())
	if e := casemate.AsError(err); err == nil || e.AWS != "" {
		t.Errorf("without the secret: %v", err)
	}
}

// TestAttacksOnSessions: what is put together from pieces, and what is used where it does not belong.
func TestAttacksOnSessions(t *testing.T) {
	for name, attack := range map[string]func(d *desk, mine, other aws.Credentials) aws.Credentials{
		"another's token": func(_ *desk, mine, other aws.Credentials) aws.Credentials {
			mine.SessionToken = other.SessionToken
			return mine
		},
		"another's id": func(_ *desk, mine, other aws.Credentials) aws.Credentials {
			mine.AccessKeyID = other.AccessKeyID
			return mine
		},
		"another's id and token": func(_ *desk, mine, other aws.Credentials) aws.Credentials {
			other.SecretAccessKey = mine.SecretAccessKey
			return other
		},
		"no token": func(_ *desk, mine, _ aws.Credentials) aws.Credentials { mine.SessionToken = ""; return mine },
		"half a token": func(_ *desk, mine, _ aws.Credentials) aws.Credentials {
			mine.SessionToken = mine.SessionToken[:40]
			return mine
		},
		"a token of ours, empty": func(_ *desk, mine, _ aws.Credentials) aws.Credentials { mine.SessionToken = tokenMark; return mine },
		"a flipped bit": func(_ *desk, mine, _ aws.Credentials) aws.Credentials {
			b := []byte(mine.SessionToken)
			if b[60]++; b[60] > 'y' {
				b[60] = 'a'
			}
			mine.SessionToken = string(b)
			return mine
		},
		"a user's key with a token": func(d *desk, mine, _ aws.Credentials) aws.Credentials {
			d.creds.SessionToken = mine.SessionToken
			return d.creds
		},
		"a long token": func(_ *desk, mine, _ aws.Credentials) aws.Credentials {
			mine.SessionToken += strings.Repeat("A", maxToken)
			return mine
		},
		"of another node": func(d *desk, _, _ aws.Credentials) aws.Credentials {
			o := newDesk(t)
			c, _ := o.assume(o.request1("deployer"))
			return c
		},
		"of a run, outside": func(d *desk, _, _ aws.Credentials) aws.Credentials {
			c, _ := d.assume(casemate.SessionRequest{Role: "deployer", Name: "x", Life: time.Hour, By: run(d), Run: "r1", Sandbox: "box"})
			return c
		},
	} {
		d := newDesk(t)
		mine, _ := d.assume(d.request1("deployer"))
		other, _ := d.assume(d.request1("clerk"))
		if _, _, err := d.enter(d.sign(as(mine)), route()); err != nil {
			t.Fatal(cause(err))
		}
		if p, _, err := d.enter(d.sign(as(attack(d, mine, other))), route()); casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func run(d *desk) *casemate.Principal {
	return &casemate.Principal{Kind: casemate.KindRun, ID: "function/f", Role: "function/f", Account: "000000000000", Expires: d.now.Add(2 * time.Minute)}
}

// TestARunsSessionIsOfThatRun: it holds at the door of its sandbox, during the run that assumed it, and nowhere else.
func TestARunsSessionIsOfThatRun(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*desk, *casemate.Event)
		ok     bool
	}{
		"there and then":          {func(*desk, *casemate.Event) {}, true},
		"the next run":            {func(_ *desk, e *casemate.Event) { e.Parent = "r2" }, false},
		"no run":                  {func(_ *desk, e *casemate.Event) { e.Parent = "" }, false},
		"another sandbox":         {func(_ *desk, e *casemate.Event) { e.Credential.Signed.Sandbox = "other" }, false},
		"the sandbox ended":       {func(d *desk, _ *casemate.Event) { d.gone["run/box"] = true }, false},
		"with the sandbox's time": {func(d *desk, _ *casemate.Event) { d.now = d.now.Add(2 * time.Minute) }, false},
		"another body":            {func(_ *desk, e *casemate.Event) { e.Credential.Signed.Payload = hashOf("x") }, false},
		"its role is gone":        {func(d *desk, _ *casemate.Event) { delete(d.roles, "deployer") }, false},
		"another service":         {func(_ *desk, e *casemate.Event) { e.Target.Builtin = "ssm.GetParameter" }, false},
	} {
		d := newDesk(t)
		creds, k := d.assume(casemate.SessionRequest{Role: "deployer", Name: "x", Life: time.Hour, By: run(d), Run: "r1", Sandbox: "box"})
		if !k.Expires.Equal(d.now.Add(2 * time.Minute)) {
			t.Errorf("it outlives its sandbox: %v", k.Expires)
		}
		e := d.sign(asked{method: "POST", target: "http://169.254.100.3/", service: "secretsmanager", body: "{}", creds: creds})
		e.Source, e.Parent, e.Target = casemate.SourceRun, "r1", casemate.Target{Builtin: "secretsmanager.GetSecretValue"}
		e.Credential.Kind, e.Credential.Signed.Sandbox, e.Credential.Signed.Payload = casemate.CredentialSigned, "box", hashOf("{}")
		c.change(d, e)
		p, mine, err := d.Inside(t.Context(), e)
		if !mine || (err == nil) != c.ok || c.ok && p.Role != "deployer" {
			t.Errorf("%s: %+v %v %v", name, p, mine, err)
		}
	}
	d := newDesk(t)
	d.creds.SessionToken = "the sandbox's own"
	if _, mine, _ := d.Inside(t.Context(), d.sign(look())); mine {
		t.Error("a sandbox's own key is taken for a session")
	}
}

func TestBoundsOfSessions(t *testing.T) {
	d := newDesk(t)
	creds, _ := d.assume(d.request1("deployer"))
	session, _, err := d.enter(d.sign(as(creds)), route())
	if err != nil {
		t.Fatal(cause(err))
	}
	for name, c := range map[string]struct {
		q  casemate.SessionRequest
		ok bool
	}{
		"the shortest":      {casemate.SessionRequest{Role: "clerk", Life: casemate.MinSession, By: d.ada()}, true},
		"the longest":       {casemate.SessionRequest{Role: "clerk", Life: casemate.MaxSession, By: d.ada()}, true},
		"too short":         {casemate.SessionRequest{Role: "clerk", Life: casemate.MinSession - 1, By: d.ada()}, false},
		"too long":          {casemate.SessionRequest{Role: "clerk", Life: casemate.MaxSession + 1, By: d.ada()}, false},
		"chained":           {casemate.SessionRequest{Role: "clerk", Life: casemate.MaxChained, By: session}, true},
		"chained, too long": {casemate.SessionRequest{Role: "clerk", Life: casemate.MaxChained + 1, By: session}, false},
		"no such role":      {casemate.SessionRequest{Role: "none", Life: time.Hour, By: d.ada()}, false},
		"nobody":            {casemate.SessionRequest{Role: "clerk", Life: time.Hour, By: &casemate.Principal{}}, false},
		"too much":          {casemate.SessionRequest{Role: "clerk", Life: time.Hour, By: d.ada(), Tags: map[string]string{"k": strings.Repeat("x", maxToken)}}, false},
	} {
		if _, err := d.Assume(t.Context(), c.q); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 20 {
		k, err := d.Assume(t.Context(), casemate.SessionRequest{Role: "clerk", Name: "n", Life: time.Hour, By: session})
		if err != nil {
			return // a chain ends
		}
		session = &k.Principal
	}
	t.Error("a chain of sessions has no end")
}

// TestOriginsOfSessions: what a session came from is asked for every time.
func TestOriginsOfSessions(t *testing.T) {
	for origin, by := range map[string]*casemate.Principal{
		"issuer/https%3A%2F%2Fci.example/repo%3Aa": {Kind: casemate.KindToken, ID: "jwt/x", Claims: map[string]string{"iss": "https://ci.example", "sub": "repo:a"}},
		"key/ck_1": {Kind: casemate.KindKey, ID: "key/ck_1"},
	} {
		d := newDesk(t)
		creds, _ := d.assume(casemate.SessionRequest{Role: "deployer", Name: "n", Life: time.Hour, By: by})
		if _, _, err := d.enter(d.sign(as(creds)), route()); err != nil {
			t.Errorf("%s: %v", origin, cause(err))
		}
		d.gone[origin] = true
		if _, _, err := d.enter(d.sign(as(creds)), route()); err == nil {
			t.Errorf("%s: it outlives what it came from", origin)
		}
	}
}

// TestCutsAreKept across restarts, and go when no session can be older.
func TestCutsAreKept(t *testing.T) {
	d := newDesk(t)
	creds, _ := d.assume(d.request1("deployer"))
	if err := d.CutRole(t.Context(), "deployer"); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(time.Minute)
	d.reopen()
	if _, _, err := d.enter(d.sign(as(creds)), route()); err == nil {
		t.Error("a cut is forgotten")
	}
	d.now = d.now.Add(casemate.MaxSession + time.Hour)
	if err := d.CutSession(t.Context(), "ASIAABCDEFGHIJKLMNOP"); err != nil {
		t.Fatal(err)
	}
	if all, err := d.cuts.List(t.Context(), ""); len(all) != 1 || err != nil {
		t.Errorf("%d cuts, %v", len(all), err)
	}
	for _, id := range []string{"", "ASIA", "AKIAABCDEFGHIJKLMNOP", "ASIAabcdefghijklmnop", "ASIA/../../../../../x"} {
		if err := d.CutSession(t.Context(), id); casemate.CodeOf(err) != casemate.Invalid || err == nil {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A session token is its user for a while: the same policies mean it, and it ends with the key it came from. Nobody gets one
// but the holder of an access key, and nobody gets another role by one.
func TestASessionTokenIsItsUser(t *testing.T) {
	d := newDesk(t)
	ada := d.ada()
	self := casemate.SessionRequest{Role: ada.Role, Name: "ada", Life: time.Hour, By: ada, Self: true}
	creds, _ := d.assume(self)
	p, _, err := d.enter(d.sign(as(creds)), route())
	if err != nil {
		t.Fatal(cause(err))
	}
	if p.ARN != ada.ARN || p.Role != ada.Role || p.Kind != casemate.KindSession || !p.Expires.Equal(d.now.Add(time.Hour)) {
		t.Errorf("%+v", p)
	}
	again, other, stranger := self, self, self
	again.By = p
	other.Role = "deployer"
	stranger.By = &casemate.Principal{Kind: casemate.KindToken, ID: "jwt/x", Role: ada.Role, Account: ada.Account}
	for name, q := range map[string]casemate.SessionRequest{"by a session": again, "of another role": other, "by a token": stranger} {
		if k, err := d.Assume(t.Context(), q); err == nil {
			t.Errorf("%s: %+v", name, k.Principal)
		}
	}
	id := strings.TrimPrefix(ada.Origin, originAccess)
	if _, err := d.Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.enter(d.sign(as(creds)), route()); err == nil {
		t.Error("it outlives its key")
	}
}
