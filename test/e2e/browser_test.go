package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"casemate/internal/casetest/authenticator"
)

var codeForm = regexp.MustCompile(`[B-Z]{4}-[B-Z]{4}`)

// browser is a person's: cookies, and an authenticator.
type browser struct {
	*http.Client
	authenticator.Browser
	key *authenticator.Key
}

// browserCommand does at the sign-in page what a person does there, with the page's own requests and a passkey in software:
//
//	browser WHO password USER PASSWORDFILE     sign in with a password alone
//	browser WHO second USER PASSWORDFILE       with a password, and the passkey after it
//	browser WHO passkey                        with the passkey alone
//	browser WHO stolen                         with the passkey of an authenticator whose counter stands still
//	browser WHO enrol NAME PASSWORDFILE        make a passkey
//	browser WHO approve|deny FILE              the command line whose code stands in FILE
//	browser WHO ask ACTION JSON                anything else
//
// It prints the status and the answer.
func browserCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: browser WHO password|second|passkey|stolen|enrol|ask ...")
	}
	w := of(ts)
	b := w.browsers[args[0]]
	if b == nil {
		jar, err := cookiejar.New(nil)
		ts.Check(err)
		b = &browser{Client: &http.Client{Jar: jar, Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: authorities(ts), ForceAttemptHTTP2: true}}}
		if w.browsers == nil {
			w.browsers = map[string]*browser{}
		}
		w.browsers[args[0]] = b
	}
	b.Origin = strings.Replace(ts.Getenv("ADMIN"), "127.0.0.1", "localhost", 1)
	status, answer := b.step(ts, args[1], args[2:])
	put(ts, fmt.Sprintf("%d %s\n", status, answer))
	b.CloseIdleConnections()
}

func (b *browser) step(ts *testscript.TestScript, what string, args []string) (status int, answer []byte) {
	want := map[string]int{"password": 2, "second": 2, "enrol": 2, "ask": 2, "approve": 1, "deny": 1}[what]
	if len(args) != want {
		ts.Fatalf("browser %s takes %d more", what, want)
	}
	secret := func() string { return strings.TrimSpace(ts.ReadFile(args[1])) }
	switch what {
	case "password":
		return b.ask(ts, "password", map[string]any{"name": args[0], "password": secret()})
	case "second":
		var p struct {
			ID  string
			Ask map[string]json.RawMessage
		}
		if status, answer = b.ask(ts, "begin", map[string]any{"name": args[0], "password": secret()}); status != 200 {
			return status, answer
		}
		ts.Check(json.Unmarshal(answer, &p))
		return b.ask(ts, "complete", map[string]any{"id": p.ID, "factor": "passkey", "answer": b.sign(ts, p.Ask["passkey"], authenticator.Twist{})})
	case "passkey", "stolen":
		if status, answer = b.ask(ts, "passkey/begin", map[string]any{}); status != 200 {
			return status, answer
		}
		twist := authenticator.Twist{}
		if what == "stolen" {
			twist.Count = &b.key.Count
		}
		return b.ask(ts, "passkey/finish", map[string]any{"response": b.sign(ts, answer, twist)})
	case "enrol":
		if status, answer = b.ask(ts, "enrol/begin", map[string]any{}); status != 200 {
			return status, answer
		}
		key, made, err := b.Create(answer, authenticator.Twist{})
		ts.Check(err)
		b.key = key
		return b.ask(ts, "enrol/finish", map[string]any{"name": args[0], "password": secret(), "response": json.RawMessage(made)})
	case "approve", "deny":
		code := map[string]any{"code": codeForm.FindString(ts.ReadFile(args[0]))}
		if status, answer = b.ask(ts, "code/look", code); status != 200 {
			return status, answer
		}
		if what == "approve" {
			code["approve"] = true
		}
		return b.ask(ts, "code/decide", code)
	case "ask":
		return b.ask(ts, args[0], json.RawMessage(args[1]))
	}
	ts.Fatalf("browser has no %s", what)
	return 0, nil
}

func (b *browser) sign(ts *testscript.TestScript, options []byte, twist authenticator.Twist) json.RawMessage {
	if b.key == nil {
		ts.Fatalf("this browser has no passkey")
	}
	answer, err := b.Browser.Get(options, b.key, twist)
	ts.Check(err)
	return answer
}

// ask is what the page's script does.
func (b *browser) ask(ts *testscript.TestScript, action string, question any) (int, []byte) {
	text, err := json.Marshal(question)
	ts.Check(err)
	r, err := http.NewRequestWithContext(of(ts).ctx, "POST", b.Origin+"/signin/"+action, bytes.NewReader(text))
	ts.Check(err)
	r.Header = http.Header{"Origin": {b.Origin}, "Content-Type": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"same-origin"}, "Sec-Fetch-Dest": {"empty"}}
	resp, err := b.Do(r)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return resp.StatusCode, answer
}
