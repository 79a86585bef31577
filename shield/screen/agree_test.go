package screen

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"casemate"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	regression "github.com/corazawaf/coraza-coreruleset/v4/tests"
	"github.com/corazawaf/coraza/v3"
	"go.yaml.in/yaml/v4"
)

// cases are what the regression files of the rule set hold; a different number means different files.
const cases = 4674

// stage is one request of the rule set's regression tests.
type stage struct {
	name   string
	expect []int
	never  []int
	q      Request
}

type testFile struct {
	RuleID int `yaml:"rule_id"`
	Tests  []struct {
		ID     int `yaml:"test_id"`
		Stages []struct {
			Input struct {
				Method   string            `yaml:"method"`
				URI      string            `yaml:"uri"`
				Version  string            `yaml:"version"`
				Headers  map[string]string `yaml:"headers"`
				Data     string            `yaml:"data"`
				Encoded  string            `yaml:"encoded_request"`
				Complete *bool             `yaml:"autocomplete_headers"`
			} `yaml:"input"`
			Output struct {
				Log struct {
					Expect []int `yaml:"expect_ids"`
					Never  []int `yaml:"no_expect_ids"`
				} `yaml:"log"`
			} `yaml:"output"`
		} `yaml:"stages"`
	} `yaml:"tests"`
}

// stages reads the regression files, and checks first that they are the ones the figure is about.
func stages(t testing.TB) []stage {
	t.Helper()
	var out []stage
	n := 0
	err := fs.WalkDir(regression.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".yaml") {
			return err
		}
		data, err := fs.ReadFile(regression.FS, name)
		if err != nil {
			return err
		}
		var f testFile
		if err := yaml.Unmarshal(data, &f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, one := range f.Tests {
			n++
			for k, s := range one.Stages {
				out = append(out, stageOf(fmt.Sprintf("%d-%d/%d", f.RuleID, one.ID, k), s.Input.Method, s.Input.URI, s.Input.Version, s.Input.Headers, s.Input.Data, s.Input.Encoded,
					s.Input.Complete == nil || *s.Input.Complete))
				out[len(out)-1].expect, out[len(out)-1].never = s.Output.Log.Expect, s.Output.Log.Never
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != cases {
		t.Fatalf("not measurable: the regression files hold %d tests, not %d", n, cases)
	}
	return out
}

// stageOf is a request as the regression runner would send it; what one test answers with is what it posts to /reflect.
func stageOf(name, method, uri, version string, headers map[string]string, data, encoded string, complete bool) stage {
	q := Request{Method: method, URI: uri, Protocol: version, Body: []byte(data), RemoteAddr: "127.0.0.1"}
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	if q.URI == "" {
		q.URI = "/"
	}
	if q.Protocol == "" {
		q.Protocol = "HTTP/1.1"
	}
	if raw, err := base64.StdEncoding.DecodeString(encoded); err == nil && encoded != "" {
		head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		first := strings.SplitN(lines[0], " ", 3)
		for len(first) < 3 {
			first = append(first, "")
		}
		q.Method, q.URI, q.Protocol, q.Body = first[0], first[1], first[2], []byte(body)
		for _, l := range lines[1:] {
			k, v, _ := strings.Cut(l, ":")
			q.Header = append(q.Header, casemate.HeaderLine{Name: k, Value: strings.TrimSpace(v)})
		}
	}
	names := make([]string, 0, len(headers))
	for k := range headers {
		names = append(names, k)
	}
	slices.Sort(names)
	has := map[string]bool{}
	for _, k := range names {
		q.Header = append(q.Header, casemate.HeaderLine{Name: k, Value: headers[k]})
		has[strings.ToLower(k)] = true
	}
	if complete && data != "" && encoded == "" {
		if !has["content-type"] {
			q.Header = append(q.Header, casemate.HeaderLine{Name: "Content-Type", Value: "application/x-www-form-urlencoded"})
		}
		if !has["content-length"] && !has["transfer-encoding"] {
			q.Header = append(q.Header, casemate.HeaderLine{Name: "Content-Length", Value: fmt.Sprint(len(data))})
		}
	}
	q.Answer = &casemate.Answer{Status: 200, Header: []casemate.HeaderLine{{Name: "content-type", Value: "text/html"}}, Body: reflected(data)}
	return stage{name: name, q: q}
}

// reflected is the body of the answer that /reflect gives.
func reflected(data string) []byte {
	if _, rest, ok := strings.Cut(data, `{"body":"`); ok {
		return []byte(strings.TrimSuffix(strings.TrimSpace(rest), `"}`))
	}
	if v, err := url.QueryUnescape(data); err == nil {
		return []byte(v)
	}
	return []byte(data)
}

// reference is Coraza with the same rules and settings.
func reference(t testing.TB, level int, settings map[string]string, engine string) coraza.WAF {
	t.Helper()
	extra := fmt.Sprintf("SecAction \"id:900000,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=%d,setvar:tx.detection_paranoia_level=%d\"\n", level, level)
	n := 900001
	for k, v := range settings {
		extra += fmt.Sprintf("SecAction \"id:%d,phase:1,pass,nolog,setvar:'tx.%s=%s'\"\n", n, k, v)
		n++
	}
	w, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(
		"Include @coraza.conf-recommended\n" + extra + "SecRuleEngine " + engine + "\n" +
			"SecAction \"id:900990,phase:1,pass,nolog,setvar:tx.crs_setup_version=4250\"\n" +
			"SecAuditEngine Off\nInclude @owasp_crs/*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// asked is what Coraza says to a request: the rules that matched, and whether it would refuse.
func asked(w coraza.WAF, q *Request, answers bool) (ids []int, blocked bool) {
	tx := w.NewTransaction()
	defer func() { _ = tx.Close() }()
	tx.ProcessConnection(q.RemoteAddr, 1234, "127.0.0.1", 80)
	tx.ProcessURI(q.URI, q.Method, q.Protocol)
	for _, h := range q.Header {
		tx.AddRequestHeader(h.Name, h.Value)
	}
	tx.ProcessRequestHeaders()
	if len(q.Body) > 0 {
		_, _, _ = tx.WriteRequestBody(q.Body)
	}
	_, _ = tx.ProcessRequestBody()
	if answers && q.Answer != nil {
		for _, h := range q.Answer.Header {
			tx.AddResponseHeader(h.Name, h.Value)
		}
		tx.ProcessResponseHeaders(q.Answer.Status, "HTTP/1.1")
		_, _, _ = tx.WriteResponseBody(q.Answer.Body)
		_, _ = tx.ProcessResponseBody()
	}
	for _, m := range tx.MatchedRules() {
		ids = append(ids, m.Rule().ID())
		blocked = blocked || m.Rule().ID() == 949110 || m.Rule().ID() == 959100 || m.Rule().ID() == 200002 || m.Rule().ID() == 200003
	}
	slices.Sort(ids)
	return slices.Compact(ids), blocked
}
