package leak

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const letters = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"

func stacks() map[string]string {
	return map[string]string{
		"node":     "TypeError: x is not a function\n    at handler (/var/task/index.js:10:5)\n    at async Runtime.handleOnce (file:///var/runtime/index.mjs:1173:29)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
		"python":   "Traceback (most recent call last):\n  File \"/var/task/app.py\", line 3, in handler\n    secretCall()\n  File \"/var/task/lib.py\", line 9, in secretCall\n    raise ValueError('x')\nValueError: x is wrong",
		"go":       "panic: boom\n\ngoroutine 1 [running]:\nmain.handler(0xc000010000, 0x2)\n\t/src/app/main.go:12 +0x1d\ncreated by main.main in goroutine 1\n\t/src/app/main.go:5 +0x2\nexit",
		"java":     "java.lang.NullPointerException: null\n\tat com.corp.shop.Orders.find(Orders.java:42)\n\tat com.corp.shop.Api$1.run(Api.java:7)\nCaused by: java.io.IOException: /opt/corp/x\n\t... 12 more",
		"dotnet":   "System.Exception: bad\n   at Corp.Shop.Orders.Find(Int32 id) in C:\\build\\Orders.cs:line 4\n   at Corp.Shop.Api.Run()",
		"php":      "Fatal error: Uncaught Exception: x in /var/www/html/a.php:3\nStack trace:\n#0 /var/www/html/b.php(4): f()\n#1 {main}\n  thrown in /var/www/html/a.php on line 3",
		"ruby":     "undefined method `x' (NoMethodError)\n\tfrom /app/lib/a.rb:3:in `call'\n/app/config.ru:3:in `block'",
		"internal": "cannot connect to postgres.shop.svc.cluster.local:5432 (10.2.3.4:5432) reading /etc/shop/config.yaml",
	}
}

// words that must not leave.
var insides = []string{"/var/", "/src/", "/opt/", "/app/", "/etc/", ":\\", "index.js", "app.py", "main.go", ".java", "Orders", "b.php", "a.rb", "10.2.3.4", "cluster.local", "secretCall()", "node:internal", "goroutine", "processTicks"}

func TestTracesDoNotLeave(t *testing.T) {
	for name, stack := range stacks() {
		whole, _ := json.Marshal(map[string]any{"error": "internal", "detail": stack})
		list, _ := json.Marshal(map[string]any{"errorMessage": strings.SplitN(stack, "\n", 2)[0], "stackTrace": strings.Split(stack, "\n")})
		for form, body := range map[string]string{"text": stack, "json": string(whole), "list": string(list), "html": "<html><pre>" + strings.ReplaceAll(stack, "\n", "<br>\n") + "</pre></html>"} {
			out, found := Body([]byte(body), 500, map[bool]string{true: "application/json", false: "text/plain"}[form == "json" || form == "list"], Rules{})
			if len(found.Notes) == 0 || found.Blocked != "" {
				t.Errorf("%s %s: %+v", name, form, found)
			}
			for _, w := range insides {
				if strings.Contains(string(out), w) {
					t.Errorf("%s %s leaves %q: %s", name, form, w, out)
				}
			}
			if (form == "json" || form == "list") && !json.Valid(out) {
				t.Errorf("%s %s is no JSON any more: %s", name, form, out)
			}
			if weak, _ := Body([]byte(body), 500, "", Rules{Traces: Off}); string(weak) != body {
				t.Errorf("%s %s changed although nobody looks", name, form)
			}
		}
	}
}

func TestOrdinaryAnswersStayAsTheyAre(t *testing.T) {
	for _, body := range []string{`{"id":1,"name":"O'Neil","at":"2026-01-01"}`, "hello", `{"path":"/usr/local/bin","host":"10.0.0.1"}`, "<html><p>at noon (maybe)</p></html>",
		"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----", "use ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "AKIAIOSFODNN7EXAMPLE", `{"card":"4111111111111111"}`, "ck_short", "cs_test_a11YYufWQzNY63zpQ6QSNRQhkUpVph4WRmzW0zWJO2znZKdVujZ0N0S22u", "cs_short", "the stack (of plates)", "sk_live_", "task_live_things"} {
		out, found := Body([]byte(body), 200, "application/json", Rules{})
		if string(out) != body || len(found.Notes) > 0 {
			t.Errorf("%q became %q, %+v", body, out, found)
		}
	}
	for _, body := range []string{`{"error":"not found","hint":"try /orders"}`, "Bad request: field (name) is missing", `{"message":"Invalid date at (3, 4)"}`} {
		if out, found := Body([]byte(body), 404, "", Rules{}); string(out) != body {
			t.Errorf("%q became %q, %+v", body, out, found)
		}
	}
}

func TestSecrets(t *testing.T) {
	pem := "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEA", 20) + "\n-----END RSA PRIVATE KEY-----"
	for _, tc := range []struct {
		body, rule string
		blocked    bool
	}{
		{pem, "private-key", true}, {`{"k":"` + strings.ReplaceAll(pem, "\n", `\n`) + `"}`, "private-key", true}, {"key=ASIA" + "QWERTYUIOPASDF23", "aws-session", true}, {"x ck_" + letters, "casemate-key", true},
		{`{"t":"ghp_` + letters[:36] + `"}`, "github-token", false}, {"AKIA" + "QWERTYUIOPASDF23", "aws-access-key", false}, {"sk_live_" + letters[:24], "stripe-key", false}, {"xoxb-" + letters[:30], "slack-token", false},
	} {
		out, found := Body([]byte(tc.body), 200, "", Rules{})
		if len(found.Notes) != 1 || !strings.HasPrefix(found.Notes[0], "leak/"+tc.rule) || (found.Blocked != "") != tc.blocked {
			t.Errorf("%.40s: %+v", tc.body, found)
		}
		if !tc.blocked && (!strings.Contains(string(out), mask) || strings.Contains(string(out), letters[:20])) {
			t.Errorf("%.40s became %s", tc.body, out)
		}
		if out, found := Body([]byte(tc.body), 200, "", Rules{Secrets: Off}); string(out) != tc.body || len(found.Notes) != 0 {
			t.Errorf("%.40s is looked at although it is off", tc.body)
		}
		if _, found := Body([]byte(tc.body), 200, "", Rules{Secrets: Block}); found.Blocked == "" {
			t.Errorf("%.40s is not blocked", tc.body)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, tc := range []struct{ body, want string }{
		{`{"card":"4111111111111111"}`, `{"card":"[removed]"}`}, {"card 5500 0055 5555 5559.", "card [removed]."}, {"3782-822463-10005 x", "[removed] x"}, {"GB82 WEST 1234 5698 7654 32, ok", "[removed], ok"}, {"DE89370400440532013000", "[removed]"},
		{`{"n":4111111111111111,"m":[4111111111111111]}`, `{"n":"[removed]","m":["[removed]"]}`}, {"4111111111111112", "4111111111111112"}, {"1234567890123456", "1234567890123456"}, {"id 41111111111111110000000", "id 41111111111111110000000"}, {"DE00370400440532013000", "DE00370400440532013000"}, {"0.4111111111111111", "0.4111111111111111"},
	} {
		if out, _ := Body([]byte(tc.body), 200, "", Rules{Personal: Mask}); string(out) != tc.want {
			t.Errorf("%s became %s; want %s", tc.body, out, tc.want)
		}
	}
}

// JSON stays JSON, and looking twice changes nothing more.
func TestJSONStaysJSON(t *testing.T) {
	parts := []string{"Traceback (most recent call last):\n", "  File \"/app/x.py\", line 1, in f\n", "    y()\n", "ghp_" + letters[:36], "\\", "\"", "\n", "at f (/a/b.js:1:2)", "/etc/passwd", "ok", "C:\\x\\y", "10.0.0.1", "é"}
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.SampledFrom(parts), 0, 12).Draw(t, "parts")
		body, err := json.Marshal(map[string]any{"stack": strings.Join(list, ""), "list": list})
		if err != nil {
			t.Fatal(err)
		}
		out, _ := Body(body, 500, "application/json", Rules{})
		if !json.Valid(out) {
			t.Fatalf("%s became %s", body, out)
		}
	})
}

func FuzzBody(f *testing.F) {
	for _, s := range stacks() {
		f.Add([]byte(s), 500)
	}
	f.Add([]byte(`{"stack":"\n    at f (/x.js:1:2)","a":"4111111111111111`), 200)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		valid := json.Valid(body)
		out, _ := Body(body, status, "", Rules{Personal: Mask, Secrets: Mask})
		if valid && !json.Valid(out) && !strings.Contains(string(body), "BEGIN") {
			t.Fatalf("%q became %q", body, out)
		}
	})
}

func BenchmarkBody(b *testing.B) {
	for name, v := range map[string]string{"json 1KB": `{"items":[` + strings.Repeat(`{"id":17,"name":"Orange juice","price":3.25},`, 22) + `{}]}`, "text 8KB": strings.Repeat("The quick brown fox jumps over the lazy dog. ", 182)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(v)))
			b.ReportAllocs()
			for b.Loop() {
				Body([]byte(v), 200, "application/json", Rules{})
			}
		})
	}
}
