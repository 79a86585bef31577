package webhook

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/store"
)

// vault is the secrets of a test.
type vault map[string][]string

func (v vault) Open(_ context.Context, name string, use func(values [][]byte)) error {
	list, ok := v[name]
	if !ok {
		return errors.New("there is no such secret")
	}
	var values [][]byte
	for _, s := range list {
		values = append(values, []byte(s))
	}
	use(values)
	return nil
}

const (
	secretText = "It's a Secret to Everybody"
	whsec      = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

var start = time.Unix(1_614_265_330, 0)

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func room(t testing.TB, s store.Store, v vault, c *clock) *Room {
	t.Helper()
	r, err := Open(context.Background(), Config{Store: s, Secrets: v, Place: casemate.DefaultPlace, Clock: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func hook(scheme string) *casemate.Webhook {
	w := &casemate.Webhook{App: "shop", Name: scheme, Scheme: scheme, Secrets: []string{"shop/hook"}, Role: "hook", Tolerance: 5 * time.Minute}
	if scheme == "hmac" {
		w.HMAC = &casemate.HMACScheme{Header: "x-signature", Prefix: "sha512=", Encoding: "base64", Algorithm: "sha512", Timestamp: "x-time", Signed: "v1:{timestamp}:{body}:end"}
	}
	return w
}

func event(h http.Header) *casemate.Event { return &casemate.Event{Header: h.Values} }

// send is a request at its sender's: what a middleman can change before it arrives.
type send struct {
	header http.Header
	body   string
}

func (s send) with(name, value string) send {
	h := s.header.Clone()
	h.Set(name, value)
	return send{h, s.body}
}

func (s send) without(name string) send {
	h := s.header.Clone()
	h.Del(name)
	return send{h, s.body}
}

func (s send) twice(name string) send {
	h := s.header.Clone()
	h.Add(name, h.Get(name))
	return send{h, s.body}
}

func mac(f func() hash.Hash, key, signed string) []byte {
	h := hmac.New(f, []byte(key))
	h.Write([]byte(signed))
	return h.Sum(nil)
}

// signed is a request as each kind of sender makes it.
func signed(scheme, body string, at time.Time) send {
	when, key := fmt.Sprint(at.Unix()), secretText
	h := http.Header{}
	switch scheme {
	case "standard-webhooks":
		raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(whsec, "whsec_"))
		h.Set("webhook-id", "msg_1")
		h.Set("webhook-timestamp", when)
		h.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac(sha256.New, string(raw), "msg_1."+when+"."+body)))
	case "github":
		h.Set("x-hub-signature-256", "sha256="+hex.EncodeToString(mac(sha256.New, key, body)))
		h.Set("x-hub-signature", "sha1="+hex.EncodeToString(mac(sha1.New, key, body)))
	case "stripe":
		h.Set("stripe-signature", "t="+when+",v1="+hex.EncodeToString(mac(sha256.New, key, when+"."+body)))
	case "slack":
		h.Set("x-slack-request-timestamp", when)
		h.Set("x-slack-signature", "v0="+hex.EncodeToString(mac(sha256.New, key, "v0:"+when+":"+body)))
	case "hmac":
		h.Set("x-time", when)
		h.Set("x-signature", "sha512="+base64.StdEncoding.EncodeToString(mac(sha512.New, key, "v1:"+when+":"+body+":end")))
	}
	return send{h, body}
}

var schemes = []string{"standard-webhooks", "github", "stripe", "slack", "hmac"}

func vaultOf(scheme string) vault {
	if scheme == "standard-webhooks" {
		return vault{"shop/hook": {whsec}}
	}
	return vault{"shop/hook": {secretText}}
}

// take is a request all the way: headers, body, and what came of it.
func take(r *Room, w *casemate.Webhook, s send, ok bool) error {
	p, err := r.Verify(context.Background(), event(s.header), w)
	if err != nil {
		return err
	}
	if err := p.Body([]byte(s.body)); err != nil {
		return err
	}
	p.Done(ok)
	return nil
}

func TestSendersAreVerified(t *testing.T) {
	for _, scheme := range schemes {
		c := &clock{at: start}
		r, w := room(t, store.Memory(c.Now), vaultOf(scheme), c), hook(scheme)
		for _, body := range []string{`{"a":1}`, "", "a=b&c=d", "\x00\xff binary", strings.Repeat("x", 1<<16), "日本 O'Neil; DROP TABLE"} {
			s := signed(scheme, body, start)
			p, err := r.Verify(t.Context(), event(s.header), w)
			if err != nil {
				t.Fatalf("%s: %v", scheme, err)
			}
			if p.Kind != casemate.KindWebhook || p.ID != "webhook/shop/"+scheme || p.Role != "hook" || p.Tags["app"] != "shop" || p.Body == nil || p.Done == nil {
				t.Errorf("%s: %+v", scheme, p)
			}
			if err := p.Body([]byte(body)); err != nil {
				t.Errorf("%s: %q: %v", scheme, body, err)
			}
		}
	}
}

// The examples that senders publish, so that the schemes here are theirs and not our own idea of them.
func TestPublishedExamples(t *testing.T) {
	for _, x := range []struct {
		scheme, secret, body string
		header               http.Header
	}{
		// https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
		{"github", "It's a Secret to Everybody", "Hello, World!", http.Header{"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}},
		// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
		{"standard-webhooks", whsec, `{"test": 2432232314}`, http.Header{"Webhook-Id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "Webhook-Timestamp": {"1614265330"},
			"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}}},
		{"standard-webhooks", whsec, `{"test": 2432232314}`, http.Header{"Svix-Id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "Svix-Timestamp": {"1614265330"},
			"Svix-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}}},
		// https://api.slack.com/authentication/verifying-requests-from-slack
		{"slack", "8f742231b10e8888abcd99yyyzzz85a5", "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
			http.Header{"X-Slack-Request-Timestamp": {"1531420618"}, "X-Slack-Signature": {"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}}},
	} {
		c := &clock{at: start}
		if x.scheme == "slack" {
			c.at = time.Unix(1531420618, 0)
		}
		r := room(t, store.Memory(c.Now), vault{"shop/hook": {x.secret}}, c)
		if err := take(r, hook(x.scheme), send{x.header, x.body}, true); err != nil {
			t.Errorf("%s: %v", x.scheme, casemate.AsError(err).Err)
		}
	}
}

// Ed25519 of the Standard Webhooks: who checks cannot sign.
func TestPublicKeys(t *testing.T) {
	public, private, err := ed25519.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{at: start}
	r := room(t, store.Memory(c.Now), vault{"shop/hook": {"whpk_" + base64.StdEncoding.EncodeToString(public)}}, c)
	s := signed("standard-webhooks", "{}", start)
	ok := s.with("webhook-signature", "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte("msg_1."+fmt.Sprint(start.Unix())+".{}"))))
	if err := take(r, hook("standard-webhooks"), send{ok.header, "{} "}, true); err == nil {
		t.Error("another body is taken")
	}
	if err := take(r, hook("standard-webhooks"), ok, true); err != nil {
		t.Error(err)
	}
	// The public key, which everybody may know, as the key of an HMAC: the oldest confusion there is.
	forged := s.with("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac(sha256.New, string(public), "msg_1."+fmt.Sprint(start.Unix())+".{}")))
	if err := take(r, hook("standard-webhooks"), forged, true); err == nil {
		t.Error("an HMAC with the public key is taken")
	}
}

// Attacks: what somebody can do who saw one good request, or knows how the scheme works, and does not hold the secret.
// Each row changes a request that is taken as it is.
func TestAttacks(t *testing.T) {
	type attack struct {
		name, only string // only: of this scheme
		change     func(s send) send
	}
	sig := map[string]string{"standard-webhooks": "webhook-signature", "github": "x-hub-signature-256", "stripe": "stripe-signature", "slack": "x-slack-signature", "hmac": "x-signature"}
	at := map[string]string{"standard-webhooks": "webhook-timestamp", "slack": "x-slack-request-timestamp", "hmac": "x-time"}
	later := fmt.Sprint(start.Unix() + 1)
	for _, scheme := range schemes {
		name := sig[scheme]
		attacks := []attack{
			{"body changed", "", func(s send) send { return send{s.header, s.body + " "} }},
			{"body gone", "", func(s send) send { return send{s.header, ""} }},
			{"no signature", "", func(s send) send { return s.without(name) }},
			{"empty signature", "", func(s send) send { return s.with(name, "") }},
			{"signature twice", "", func(s send) send { return s.twice(name) }},
			{"signature cut", "", func(s send) send { return s.with(name, s.header.Get(name)[:len(s.header.Get(name))-4]) }},
			{"signature of nothing", "", func(s send) send {
				return s.with(name, map[string]string{"standard-webhooks": "v1,", "github": "sha256=", "stripe": "t=" + fmt.Sprint(start.Unix()) + ",v1=", "slack": "v0=", "hmac": "sha512="}[scheme])
			}},
			{"signed with an empty key", "github", func(s send) send { return s.with(name, "sha256="+hex.EncodeToString(mac(sha256.New, "", s.body))) }},
			{"signed with the name of the secret", "github", func(s send) send {
				return s.with(name, "sha256="+hex.EncodeToString(mac(sha256.New, "shop/hook", s.body)))
			}},
			{"a hash for an HMAC", "github", func(s send) send {
				sum := sha256.Sum256([]byte(s.body))
				return s.with(name, "sha256="+hex.EncodeToString(sum[:]))
			}},
			{"SHA-1 alone", "github", func(s send) send { return s.without(name) }},
			{"SHA-1 in its place", "github", func(s send) send { return s.with(name, s.header.Get("x-hub-signature")) }},
			{"SHA-1 under its name", "github", func(s send) send {
				return s.with(name, "sha256="+strings.TrimPrefix(s.header.Get("x-hub-signature"), "sha1="))
			}},
			{"time changed", "", func(s send) send {
				if scheme == "stripe" {
					return s.with(name, strings.Replace(s.header.Get(name), fmt.Sprint(start.Unix()), later, 1))
				}
				if at[scheme] == "" {
					return send{s.header, "x"}
				}
				return s.with(at[scheme], later)
			}},
			{"a second time", "stripe", func(s send) send { return s.with(name, s.header.Get(name)+",t="+later) }},
			{"a second time in front", "stripe", func(s send) send { return s.with(name, "t="+later+","+s.header.Get(name)) }},
			{"no time", "stripe", func(s send) send { return s.with(name, s.header.Get(name)[strings.Index(s.header.Get(name), "v1="):]) }},
			{"signature of the test mode", "stripe", func(s send) send { return s.with(name, strings.Replace(s.header.Get(name), "v1=", "v0=", 1)) }},
			{"time not in digits", "slack", func(s send) send { return s.with(at[scheme], "0x6037b972") }},
			{"time with a sign", "slack", func(s send) send { return s.with(at[scheme], "+"+s.header.Get(at[scheme])) }},
			{"time out of bounds", "slack", func(s send) send { return s.with(at[scheme], "9223372036854775807") }},
			{"no id", "standard-webhooks", func(s send) send { return s.without("webhook-id") }},
			{"another id", "standard-webhooks", func(s send) send { return s.with("webhook-id", "msg_2") }},
			{"id that takes the time in", "standard-webhooks", func(s send) send {
				return send{s.with("webhook-id", "msg_1."+fmt.Sprint(start.Unix())).with("webhook-timestamp", "7").header, s.body}
			}},
			{"another version", "standard-webhooks", func(s send) send { return s.with(name, "v2"+s.header.Get(name)[2:]) }},
			{"public-key version with the HMAC", "standard-webhooks", func(s send) send { return s.with(name, "v1a"+s.header.Get(name)[2:]) }},
			{"a flood of signatures", "standard-webhooks", func(s send) send {
				return s.with(name, strings.Repeat("v1,AAAA ", maxSignatures)+s.header.Get(name))
			}},
			{"another prefix", "hmac", func(s send) send { return s.with(name, "sha256="+strings.TrimPrefix(s.header.Get(name), "sha512=")) }},
			{"no prefix", "hmac", func(s send) send { return s.with(name, strings.TrimPrefix(s.header.Get(name), "sha512=")) }},
		}
		for _, a := range attacks {
			if a.only != "" && a.only != scheme {
				continue
			}
			c := &clock{at: start}
			r, w := room(t, store.Memory(c.Now), vaultOf(scheme), c), hook(scheme)
			good := signed(scheme, `{"a":"1.2"}`, start)
			if err := take(r, w, a.change(good), true); casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
				t.Errorf("%s: %s: %v", scheme, a.name, err)
			}
			if err := take(r, w, good, true); err != nil {
				t.Errorf("%s: after %s: %v", scheme, a.name, casemate.AsError(err).Err)
			}
		}
	}
}

// Part of the body moved into the id: the same bytes are signed, cut in another place.
func TestIDsHaveNoDots(t *testing.T) {
	c := &clock{at: start}
	r, when := room(t, store.Memory(c.Now), vaultOf("standard-webhooks"), c), fmt.Sprint(start.Unix())
	moved := signed("standard-webhooks", when+".{}", start).with("webhook-id", "msg_1."+when)
	moved.body = "{}"
	if err := take(r, hook("standard-webhooks"), moved, true); casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
		t.Errorf("a message cut elsewhere: %v", err)
	}
}

func TestWindow(t *testing.T) {
	for _, scheme := range schemes {
		if scheme == "github" {
			continue // signs no time
		}
		for _, x := range []struct {
			off time.Duration
			ok  bool
		}{{0, true}, {5 * time.Minute, true}, {-5 * time.Minute, true}, {5*time.Minute + time.Second, false}, {-5*time.Minute - time.Second, false}, {-240 * time.Hour, false}, {240 * time.Hour, false}} {
			c := &clock{at: start}
			r := room(t, store.Memory(c.Now), vaultOf(scheme), c)
			if err := take(r, hook(scheme), signed(scheme, "{}", start.Add(x.off)), true); (err == nil) != x.ok {
				t.Errorf("%s: %s: %v", scheme, x.off, err)
			}
		}
		// A body that comes so late that the window has closed is late, whenever its headers came.
		c := &clock{at: start}
		r, s := room(t, store.Memory(c.Now), vaultOf(scheme), c), signed(scheme, "{}", start)
		p, err := r.Verify(t.Context(), event(s.header), hook(scheme))
		if err != nil {
			t.Fatal(err)
		}
		c.Add(6 * time.Minute)
		if err := p.Body([]byte(s.body)); err == nil {
			t.Errorf("%s: a slow body is taken", scheme)
		}
	}
}

// What was taken once is not taken again: now, after a restart, by another node, at any time until its time is over; nor
// when one of two signatures is left out, or the signature is written otherwise.
func TestReplay(t *testing.T) {
	for _, scheme := range schemes {
		c := &clock{at: start}
		s := store.Memory(c.Now)
		r, w, m := room(t, s, vaultOf(scheme), c), hook(scheme), signed(scheme, "{}", start.Add(time.Minute))
		if err := take(r, w, m, true); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			if err := take(r, w, m, true); err == nil {
				t.Errorf("%s: taken again after %d minutes", scheme, i)
			}
			c.Add(time.Minute)
			if err := r.seen.sweep(t.Context(), "", c.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if err := take(room(t, s, vaultOf(scheme), c), w, m, true); err == nil {
			t.Errorf("%s: taken again after a restart", scheme)
		}
		if scheme == "github" || scheme == "slack" {
			name := map[string]string{"github": "x-hub-signature-256", "slack": "x-slack-signature"}[scheme]
			prefix, digits, _ := strings.Cut(m.header.Get(name), "=")
			if err := take(r, w, m.with(name, prefix+"="+strings.ToUpper(digits)), true); err == nil {
				t.Errorf("%s: taken again in capitals", scheme)
			}
		}
		if err := take(r, w, signed(scheme, "{ }", start.Add(time.Minute)), true); err != nil {
			t.Errorf("%s: another body at the same time: %v", scheme, err)
		}
	}
	c := &clock{at: start}
	two := vault{"shop/hook": {secretText, "the one before, of enough bytes"}}
	r, w := room(t, store.Memory(c.Now), two, c), hook("stripe")
	a, when := signed("stripe", "{}", start), fmt.Sprint(start.Unix())
	b := "v1=" + hex.EncodeToString(mac(sha256.New, two["shop/hook"][1], when+".{}"))
	if err := take(r, w, a.with("stripe-signature", a.header.Get("stripe-signature")+","+b), true); err != nil {
		t.Fatal(err)
	}
	for _, one := range []string{a.header.Get("stripe-signature"), "t=" + when + "," + b} {
		if err := take(r, w, a.with("stripe-signature", one), true); err == nil {
			t.Error("one of two signatures is taken after both")
		}
	}
}

// A message whose event failed may come again; one that is under way may not.
func TestFailedMessagesComeAgain(t *testing.T) {
	for _, scheme := range schemes {
		c := &clock{at: start}
		r, w, m := room(t, store.Memory(c.Now), vaultOf(scheme), c), hook(scheme), signed(scheme, "{}", start)
		p, err := r.Verify(t.Context(), event(m.header), w)
		if err != nil || p.Body([]byte(m.body)) != nil {
			t.Fatal(err)
		}
		if err := take(r, w, m, true); err == nil {
			t.Errorf("%s: taken twice at once", scheme)
		}
		p.Done(false)
		if err := take(r, w, m, true); err != nil {
			t.Errorf("%s: not taken after it failed: %v", scheme, err)
		}
	}
}

func TestOneOfManyAtOnceIsTaken(t *testing.T) {
	c := &clock{at: start}
	s := store.Memory(c.Now)
	rooms := []*Room{room(t, s, vaultOf("github"), c), room(t, s, vaultOf("github"), c)}
	m, w := signed("github", "{}", start), hook("github")
	var mu sync.Mutex
	var all sync.WaitGroup
	taken := 0
	for i := range 40 {
		all.Go(func() {
			if take(rooms[i%2], w, m, true) == nil {
				mu.Lock()
				defer mu.Unlock()
				taken++
			}
		})
	}
	all.Wait()
	if taken != 1 {
		t.Errorf("taken %d times", taken)
	}
}

// The memory is bounded: what has a time is refused when it is full, what has none makes place, oldest first.
func TestMemoryIsBounded(t *testing.T) {
	for _, scheme := range []string{"stripe", "github"} {
		c := &clock{at: start}
		r, w := room(t, store.Memory(c.Now), vaultOf(scheme), c), hook(scheme)
		r.seen.most = 32
		for i := range 32 {
			if err := take(r, w, signed(scheme, fmt.Sprint(i), c.Now()), true); err != nil {
				t.Fatal(err)
			}
			if scheme == "github" {
				c.Add(time.Second)
			}
		}
		err := take(r, w, signed(scheme, "one more", c.Now()), true)
		if scheme == "github" {
			if err != nil {
				t.Error(err)
			}
			if take(r, w, signed(scheme, "31", c.Now()), true) == nil {
				t.Error("the newest were forgotten")
			}
			continue
		}
		if casemate.CodeOf(err) != casemate.Exhausted || casemate.AsError(err).Retry == 0 {
			t.Errorf("one more than can be remembered: %v", err)
		}
		for i := range 32 {
			if take(r, w, signed(scheme, fmt.Sprint(i), start), true) == nil {
				t.Error("forgotten early")
			}
		}
		c.Add(6 * time.Minute)
		if err := take(r, w, signed(scheme, "one more", c.Now()), true); err != nil {
			t.Errorf("after the window: %v", err)
		}
	}
}

func TestSecretsThatAreNotThere(t *testing.T) {
	c := &clock{at: start}
	for name, v := range map[string]vault{
		"no secret": {}, "empty secret": {"shop/hook": {""}}, "short secret": {"shop/hook": {"123456789012345"}}, "no version": {"shop/hook": nil},
	} {
		r := room(t, store.Memory(c.Now), v, c)
		m := signed("github", "{}", start)
		m = m.with("x-hub-signature-256", "sha256="+hex.EncodeToString(mac(sha256.New, strings.Join(v["shop/hook"], ""), "{}")))
		if err := take(r, hook("github"), m, true); casemate.CodeOf(err) != casemate.Unavailable || casemate.AsError(err).Retry == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := room(t, store.Memory(c.Now), vault{"shop/hook": {"whsec_not base64!"}}, c)
	if err := take(r, hook("standard-webhooks"), signed("standard-webhooks", "{}", start), true); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("a secret that is no base64: %v", err)
	}
	// One secret of two is missing: the other does.
	w := hook("github")
	w.Secrets = []string{"shop/next", "shop/hook"}
	if err := take(room(t, store.Memory(c.Now), vaultOf("github"), c), w, signed("github", "{}", start), true); err != nil {
		t.Error(err)
	}
}

func TestZeroWebhookVerifiesNothing(t *testing.T) {
	c := &clock{at: start}
	r := room(t, store.Memory(c.Now), vaultOf("github"), c)
	m := signed("github", "{}", start)
	for name, change := range map[string]func(w *casemate.Webhook){
		"zero": func(w *casemate.Webhook) { *w = casemate.Webhook{} }, "no role": func(w *casemate.Webhook) { w.Role = "" },
		"no secret": func(w *casemate.Webhook) { w.Secrets = nil }, "no scheme": func(w *casemate.Webhook) { w.Scheme = "" },
		"own scheme undescribed": func(w *casemate.Webhook) { w.Scheme = "hmac" },
	} {
		w := hook("github")
		change(w)
		if err := take(r, w, m, true); casemate.CodeOf(err) != casemate.Unauthenticated || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w, late := hook("stripe"), signed("stripe", "{}", start.Add(-time.Second))
	w.Tolerance = 0
	if take(r, w, late, true) == nil {
		t.Error("a tolerance of nothing tolerates a second")
	}
	if _, err := r.Verify(t.Context(), &casemate.Event{}, hook("github")); err == nil {
		t.Error("an event without headers is somebody's")
	}
	if r.Sent(hook("github"), &casemate.Event{}) || !r.Sent(hook("github"), event(m.header)) || r.Sent(hook("stripe"), event(m.header)) {
		t.Error("Sent")
	}
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("an empty configuration opens")
	}
}

func FuzzHeaders(f *testing.F) {
	for _, scheme := range schemes {
		s := signed(scheme, "{}", start)
		for _, values := range s.header {
			f.Add(scheme, values[0], fmt.Sprint(start.Unix()), "msg_1")
		}
	}
	f.Fuzz(func(t *testing.T, scheme, sig, at, id string) {
		h := http.Header{}
		for _, name := range []string{"webhook-signature", "x-hub-signature-256", "stripe-signature", "x-slack-signature", "x-signature"} {
			h.Set(name, sig)
		}
		for _, name := range []string{"webhook-timestamp", "x-slack-request-timestamp", "x-time"} {
			h.Set(name, at)
		}
		h.Set("webhook-id", id)
		m, err := read(hook(scheme), h.Values)
		if err != nil {
			return
		}
		for _, secret := range []string{"another secret of ours", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
			if ok, _ := m.holds([]byte(secret), []byte("a body that nobody signed")); ok {
				t.Fatalf("%s: %q holds", scheme, sig)
			}
		}
	})
}

func BenchmarkTake(b *testing.B) {
	c := &clock{at: start}
	r, w := room(b, store.Memory(c.Now), vaultOf("github"), c), hook("github")
	m := signed("github", strings.Repeat("x", 2048), start)
	b.ReportAllocs()
	for b.Loop() {
		if err := take(r, w, m, false); err != nil {
			b.Fatal(err)
		}
	}
}
