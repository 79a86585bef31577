package e2e

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// sign writes the headers with which a sender of a scheme signs a body, each as that sender documents it:
// "sign SCHEME SECRETFILE BODYFILE HEADERSFILE [at=-10m] [id=msg_1]".
func sign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: sign SCHEME SECRETFILE BODYFILE HEADERSFILE [at=-10m] [id=msg_1]")
	}
	secret, body := strings.TrimSpace(ts.ReadFile(args[1])), ts.ReadFile(args[2])
	at, id := time.Now(), "msg_1"
	for _, a := range args[4:] {
		name, value, _ := strings.Cut(a, "=")
		switch name {
		case "at":
			d, err := time.ParseDuration(value)
			ts.Check(err)
			at = at.Add(d)
		case "id":
			id = value
		default:
			ts.Fatalf("sign has no %s", name)
		}
	}
	when := fmt.Sprint(at.Unix())
	mac := func(key []byte, signed string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(signed))
		return h.Sum(nil)
	}
	var lines []string
	switch args[0] {
	case "standard-webhooks":
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		ts.Check(err)
		lines = []string{"webhook-id: " + id, "webhook-timestamp: " + when,
			"webhook-signature: v1,AAAA v1," + base64.StdEncoding.EncodeToString(mac(key, id+"."+when+"."+body))}
	case "standard-webhooks-ed25519":
		seed, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsk_"))
		ts.Check(err)
		lines = []string{"webhook-id: " + id, "webhook-timestamp: " + when,
			"webhook-signature: v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(ed25519.NewKeyFromSeed(seed), []byte(id+"."+when+"."+body)))}
	case "github":
		lines = []string{"x-github-delivery: " + id, "x-github-event: push", "x-hub-signature-256: sha256=" + hex.EncodeToString(mac([]byte(secret), body))}
	case "stripe":
		lines = []string{"stripe-signature: t=" + when + ",v1=" + hex.EncodeToString(mac([]byte(secret), when+"."+body)) + ",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"}
	case "slack":
		lines = []string{"x-slack-request-timestamp: " + when, "x-slack-signature: v0=" + hex.EncodeToString(mac([]byte(secret), "v0:"+when+":"+body))}
	case "hmac":
		lines = []string{"x-timestamp: " + when, "x-signature: sha256=" + base64.StdEncoding.EncodeToString(mac([]byte(secret), when+"."+body))}
	default:
		ts.Fatalf("no scheme %s", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(strings.Join(lines, "\n")+"\n"), 0o644))
}

// login is a login service on loopback: its OpenID configuration and its keys.
type login struct {
	*httptest.Server
	mu     sync.Mutex
	keys   string
	issuer string
}

// ServeHTTP implements http.Handler.
func (l *login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": l.issuer, "jwks_uri": l.URL + "/keys"})
	case "/keys":
		fmt.Fprint(w, l.keys)
	default:
		http.NotFound(w, r)
	}
}

// loginCommand starts a login service whose address goes into $ISSUER ("login start"), gives it the keys of a file ("login
// keys FILE"), or has it call itself something else ("login name URL").
func loginCommand(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: login start, login keys FILE, login name URL")
	case args[0] == "start":
		w.login = &login{}
		w.login.Server = httptest.NewServer(w.login)
		w.login.issuer = w.login.URL
		ts.Defer(w.login.Close)
		ts.Setenv("ISSUER", w.login.URL)
	case args[0] == "keys":
		w.login.mu.Lock()
		defer w.login.mu.Unlock()
		w.login.keys = ts.ReadFile(args[1])
	case args[0] == "name":
		w.login.mu.Lock()
		defer w.login.mu.Unlock()
		w.login.issuer = args[1]
	}
}
