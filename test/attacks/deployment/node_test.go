package deployment

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"casemate/front/admin"
	"casemate/internal/casetest/product"
)

// stage is what both nodes share.
type stage struct {
	dir, casemate, guest string
	weak                 bool // the kernel does not give every wall
	issuers              map[string]*Issuer
	target               Target // what of a target is the same for both
	pin                  string
	ca                   []byte
}

func newStage(t *testing.T) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("", "cma") // a short path: the socket's has 107 bytes at most
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &stage{dir: dir, casemate: filepath.Join(dir, "casemate"), guest: filepath.Join(dir, "bootstrap"), issuers: issuers(t)}
	must(t, product.Casemate(s.casemate))
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", s.guest, "./guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the guest: %v\n%s", err, text)
	}
	must(t, zipped(s.guest))
	out, err := exec.Command(s.casemate, "doctor", "--json").Output()
	var d struct{ Ready bool }
	if jerr := json.Unmarshal(out, &d); jerr != nil {
		t.Fatal(err, jerr)
	}
	s.weak = !d.Ready
	ca, build, all := certificates(t)
	s.ca, s.pin = ca.pem(), build.pin()
	s.target = Target{Region: "us-east-1", Issuers: s.issuers, Certificates: all, Senders: map[string]Sender{
		"github": {"github", "it is a secret to everybody"}, "stripe": {"stripe", "whsec_test_secret_of_stripe"}, "slack": {"slack", "8f742231b10e8888abcd99yyyzzz85a5"},
		"standard": {"standard-webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "own": {"hmac", "a scheme of one's own"},
	}}
	return s
}

// world is one node with its own outside: as it should be, or weakened.
type world struct {
	t      *testing.T
	s      *stage
	strict bool
	dir    string
	cmd    *exec.Cmd
	errs   bytes.Buffer // read after the end alone
	admin  *admin.Client
	ledger *ledger
	target Target
	http   string // the node's own address

	expired <-chan time.Time // tells when the key that expires has
}

// function is one of the deployment's, as the templates know it.
type function struct {
	Name, Does, Calls, Kind string
	Timeout, Memory         string
	Grants, Loose           []string // Loose: of the weakened one alone
}

var shop = []function{
	{Name: "orders", Does: "order"}, {Name: "profile", Does: "profile"}, {Name: "boom", Does: "boom"}, {Name: "warden", Timeout: "2s"},
	{Name: "fetch", Does: "fetch", Grants: []string{"connect partner.test:80"}, Loose: []string{"connect inside.test:80"}},
	{Name: "price", Does: "price", Grants: []string{"connect partner.test:80"}, Loose: []string{"connect inside.test:80"}},
	{Name: "items"}, {Name: "counted"}, {Name: "paced"}, {Name: "tokens"}, {Name: "scoped"}, {Name: "signed"}, {Name: "cert"}, {Name: "hook"}, {Name: "warded"},
	{Name: "bulk"}, {Name: "admin"}, {Name: "steps"}, {Name: "old"},
}

var till = []function{
	{Name: "volley"}, {Name: "split"}, {Name: "race"}, {Name: "turn"}, {Name: "spin", Does: "spin", Timeout: "1s", Memory: "128MB"}, {Name: "fail", Does: "fail"},
	{Name: "thief", Does: "who"},
	{Name: "download", Does: "download", Grants: []string{"connect partner.test:80"}},
	{Name: "again", Does: "again", Grants: []string{"connect door.test:80"}},
	{Name: "ping", Does: "call", Calls: "pong", Kind: "RequestResponse", Grants: []string{"invoke pong"}},
	{Name: "pong", Does: "call", Calls: "ping", Kind: "RequestResponse", Grants: []string{"invoke ping"}},
	{Name: "self", Does: "call", Calls: "self", Kind: "RequestResponse", Grants: []string{"invoke self"}},
	{Name: "later", Does: "call", Calls: "sooner", Kind: "Event", Grants: []string{"invoke sooner"}},
	{Name: "sooner", Does: "call", Calls: "later", Kind: "Event", Grants: []string{"invoke later"}},
}

// up starts a node, deploys what attacks are about, and gives what attackers and honest callers have.
func (s *stage) up(t *testing.T, set *Set, strict bool) *world {
	t.Helper()
	w := &world{t: t, s: s, strict: strict, dir: filepath.Join(s.dir, fmt.Sprint("strict-", strict)), ledger: newLedger(t), target: s.target}
	must(t, os.MkdirAll(w.dir, 0o755))
	prices := filepath.Join(w.dir, "prices.yaml")
	must(t, os.WriteFile(prices, []byte("currency: USD\nrequests: {price: \"0.01\"}\ngb_seconds: {price: \"0.01\"}\negress_gb: {price: \"1\"}\n"), 0o600))
	at := func(h *httptest.Server) string { return strings.TrimPrefix(h.URL, "http://") }
	args := []string{"up", "--json", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--aws", "", "--log-level", "warn", "--stop-grace", "2s",
		"--source-rate", "100000/s burst 100000", "--prices", prices, "--resolve", "ledger.test:80=" + at(w.ledger.at), "--resolve", "partner.test:80=" + at(w.ledger.at),
		"--resolve", "door.test:80=" + at(w.ledger.at), "--resolve", "inside.test:80=" + at(w.ledger.inside)}
	if s.weak {
		args = append(args, "--allow-weak-sandbox")
	}
	node := filepath.Join(w.dir, "n")
	w.cmd = exec.Command(s.casemate, args...)
	w.cmd.Env, w.cmd.Stderr = append(os.Environ(), "CASEMATE_DIR="+node), &w.errs
	out, err := w.cmd.StdoutPipe()
	must(t, err)
	must(t, w.cmd.Start())
	t.Cleanup(w.down)
	var up struct {
		HTTP       []string
		Socket, CA string
	}
	must(t, json.NewDecoder(out).Decode(&up))
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the node
	w.admin, err = admin.Dial(up.Socket)
	must(t, err)
	for _, u := range up.HTTP {
		if strings.HasPrefix(u, "https") {
			w.target.TLSBase = strings.Replace(u, "127.0.0.1", "localhost", 1)
		} else {
			w.http = u
		}
	}
	ca, err := os.ReadFile(up.CA)
	must(t, err)
	w.target.Roots = x509.NewCertPool()
	w.target.Roots.AppendCertsFromPEM(ca)
	w.target.Base = w.http
	if !strict {
		front := httptest.NewServer(careless(t, w.http))
		t.Cleanup(front.Close)
		w.target.Base = front.URL
	}
	base := w.target.Base
	w.ledger.door = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { again(rw, r, base) })
	w.deploy("shop", shop, true)
	w.deploy("till", till, false)
	amount := "0.60"
	if strict {
		amount = "0.10"
	}
	w.run("", "budget", "set", "chain", "--amount", amount)
	w.credentials(set)
	w.deploy("shop", shop, false) // an issuer and two routes are gone
	return w
}

// again passes a request of a function on to the public door, as a caller's of its own.
func again(w http.ResponseWriter, r *http.Request, base string) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, base+r.URL.Path, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	req.Header = r.Header.Clone()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
}

func (w *world) down() {
	w.admin.Close()
	_ = w.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	if err := w.cmd.Wait(); err != nil {
		w.t.Errorf("the node (strict: %v) did not end well: %v", w.strict, err)
	}
	if w.t.Failed() {
		text := w.errs.String()
		w.t.Logf("the node (strict: %v) said:\n%s", w.strict, text[max(0, len(text)-4000):])
	}
}

// run runs a verb on the node.
func (w *world) run(input string, args ...string) []byte {
	w.t.Helper()
	cmd := exec.Command(w.s.casemate, args...)
	cmd.Env = append(os.Environ(), "CASEMATE_DIR="+filepath.Join(w.dir, "n"))
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		w.t.Fatalf("casemate %s (strict: %v): %v\n%s%s", strings.Join(args, " "), w.strict, err, exit.Stderr, out)
	}
	must(w.t, err)
	return out
}

func (w *world) deploy(app string, functions []function, old bool) {
	w.t.Helper()
	dir := filepath.Join(w.dir, app)
	must(w.t, os.RemoveAll(dir))
	must(w.t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", app))))
	funcs := template.FuncMap{"auth": func(kind string) string {
		if w.strict {
			return "auth: [" + kind + "]"
		}
		return "auth: {none: {reason: it is weakened, expires: " + time.Now().AddDate(0, 1, 0).UTC().Format(time.DateOnly) + "}}"
	}}
	name := filepath.Join(dir, "casemate.yaml")
	text, err := template.New("casemate.yaml").Delims("[[", "]]").Funcs(funcs).ParseFiles(name)
	must(w.t, err)
	list := slices.Clone(functions)
	for i := range list {
		for _, word := range []*string{&list[i].Does, &list[i].Calls, &list[i].Kind} {
			if *word == "" {
				*word = "nothing"
			}
		}
		if list[i].Timeout == "" {
			list[i].Timeout = "4s"
		}
		if list[i].Memory == "" {
			list[i].Memory = "64MB"
		}
	}
	var out bytes.Buffer
	must(w.t, text.Execute(&out, map[string]any{"Functions": list, "Strict": w.strict, "Old": old, "Pin": w.s.pin}))
	must(w.t, os.WriteFile(name, out.Bytes(), 0o600))
	for name, i := range w.s.issuers {
		must(w.t, os.WriteFile(filepath.Join(dir, name+".json"), keySet(w.t, i), 0o600))
	}
	must(w.t, os.WriteFile(filepath.Join(dir, "partner-ca.pem"), w.s.ca, 0o600))
	must(w.t, os.Link(w.s.guest+".zip", filepath.Join(dir, "guest.zip")))
	w.run("", "deploy", dir)
}

// credentials makes what the set needs: keys are named for their role, or for what became of them.
func (w *world) credentials(set *Set) {
	w.t.Helper()
	w.target.Values, w.target.Access = map[string]string{"object:ann": "ann-keeps-this", "object:bob": "bob-keeps-this"}, map[string]AccessKey{}
	key := func(q map[string]string) string {
		var made struct {
			Secret string
			Key    struct{ ID string }
		}
		must(w.t, w.admin.Call(context.Background(), "keys.create", q, &made))
		if q["name"] == "revoked" {
			must(w.t, w.admin.Call(context.Background(), "keys.revoke", map[string]string{"id": made.Key.ID}, nil))
		}
		return made.Secret
	}
	for _, need := range set.needs() {
		kind, name, _ := strings.Cut(need, ":")
		role, _, _ := strings.Cut(name, "-")
		switch kind {
		case "key":
			q := map[string]string{"name": name, "role": role}
			switch role {
			case "revoked":
				q["role"] = "clerk"
			case "expired":
				q["role"], q["ttl"] = "clerk", "1m" // the shortest life that a key may have
				w.expired = time.After(time.Minute)
			case "small":
				q["role"], q["plan"] = "clerk", "small"
			}
			w.target.Values[need] = key(q)
		case "access":
			w.target.Access[name] = w.access(name, role)
		}
	}
	for name, s := range w.s.target.Senders {
		w.run(s.Secret, "secret", "set", "shop/"+name)
	}
	w.target.Known = func(string) bool { return true }
	w.target.Effects = func(_ context.Context, name string) (int64, error) { return w.ledger.read(name), nil }
	w.target.Quiet = w.quiet
}

func (w *world) access(name, role string) AccessKey {
	w.t.Helper()
	if role == "run" { // what a function's own environment holds
		res, err := w.admin.Invoke(context.Background(), "thief", admin.Invocation{})
		must(w.t, err)
		var a struct{ Body string }
		must(w.t, json.Unmarshal(res.Payload, &a))
		parts := strings.Split(a.Body, " ")
		return AccessKey{parts[0], parts[1], parts[2]}
	}
	q := map[string]string{"user": name, "role": "signer"}
	var made struct {
		ID     string `json:"aws_access_key_id"`
		Secret string `json:"aws_secret_access_key"`
	}
	must(w.t, w.admin.Call(context.Background(), "access.create", q, &made))
	if name == "revoked" {
		must(w.t, w.admin.Call(context.Background(), "access.revoke", map[string]string{"id": made.ID}, nil))
	}
	return AccessKey{ID: made.ID, Secret: made.Secret}
}

// quiet waits until nothing is queued, or what is queued is put off.
func (w *world) quiet(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for still, last := 0, int64(-1); still < 25; {
		var q struct{ Queued uint64 }
		if err := w.admin.Call(ctx, "async.list", nil, &q); err != nil {
			return err
		}
		n := w.ledger.read("all")
		if q.Queued == 0 && n == last {
			return nil
		}
		if still++; n != last {
			still, last = 0, n
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// needs lists what all attacks and flows need.
func (s *Set) needs() []string {
	all := map[string]bool{}
	for i := range s.Attacks {
		for _, n := range s.Attacks[i].Needs {
			all[n] = true
		}
	}
	for _, f := range s.Flows {
		for _, n := range f.Needs {
			all[n] = true
		}
	}
	var out []string
	for n := range all {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// zipped packs a program once: packing it for every function would take longer than all attacks.
func zipped(program string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	head := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	head.SetMode(0o755)
	f, err := z.CreateHeader(head)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(program+".zip", out.Bytes(), 0o600)
}
