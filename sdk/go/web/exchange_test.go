package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// host is the other end of the two calls.
type host struct {
	asked    string
	code     int64
	response []byte
	step     int // bytes that a read gives at most
}

func (h *host) send(text []byte) int64 {
	h.asked = string(text)
	if h.code < 0 {
		return h.code
	}
	return int64(len(h.response))
}

func (h *host) read(room []byte) int32 {
	n := copy(room[:min(len(room), h.step)], h.response)
	h.response = h.response[n:]
	return int32(n)
}

func (h *host) client() *http.Client {
	return &http.Client{Transport: &transport{send: h.send, read: h.read}}
}

func TestExchange(t *testing.T) {
	h := &host{response: []byte("201\r\nA: b\r\nSet-Cookie: x=1\r\nSet-Cookie: y=2\r\n\r\nhel\r\n\r\nlo"), step: 5}
	r, err := http.NewRequest("PUT", "https://me:secret@a.example:8443/p?q=%20#fragment", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"X-One": {"1", "2"}, "Connection": {"close"}, "Host": {"evil.example"}}
	res, err := h.client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 201 || res.Status != "201 Created" || string(body) != "hel\r\n\r\nlo" || len(res.Cookies()) != 2 || res.Header.Get("A") != "b" {
		t.Errorf("%+v, %q, %v", res, body, err)
	}
	head, sent, _ := strings.Cut(h.asked, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if lines[0] != "PUT https://a.example:8443/p?q=%20" || sent != "body" || len(lines) != 4 || !strings.Contains(head, "\r\nX-One: 1\r\nX-One: 2") ||
		!strings.Contains(head, "\r\nAuthorization: Basic ") {
		t.Errorf("sent %q", h.asked)
	}
}

func TestExchangeFails(t *testing.T) {
	for code, want := range map[int64]error{-1: ErrRefused, -2: errFailed, -3: errMalformed, -4: errTooLarge, -99: errFailed} {
		if _, err := (&host{code: code}).client().Get("http://a.example/"); !errors.Is(err, want) {
			t.Errorf("%d: %v", code, err)
		}
	}
	for _, text := range []string{"", "200", "abc\r\n\r\n", "200\r\nA: b\r\n"} {
		if _, err := (&host{response: []byte(text), step: 100}).client().Get("http://a.example/"); !errors.Is(err, errMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := (&host{response: []byte("200\r\n\r\nx")}).client().Get("http://a.example/"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a response that ends early: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   error
	}{
		"another host":  {func(r *http.Request) { r.Host = "evil.example" }, errHost},
		"a broken line": {func(r *http.Request) { r.Header["A"] = []string{"b\r\nHost: evil.example"} }, errMalformed},
		"a name of two": {func(r *http.Request) { r.Header["A:b\r\nC"] = []string{"d"} }, errMalformed},
		"a long body":   {func(r *http.Request) { r.Body = io.NopCloser(bytes.NewReader(make([]byte, largest))) }, errTooLarge},
	} {
		h := &host{}
		r, _ := http.NewRequest("POST", "http://a.example/", nil)
		c.change(r)
		if _, err := h.client().Do(r); !errors.Is(err, c.want) || h.asked != "" {
			t.Errorf("%s: %v; sent %q", name, err, h.asked)
		}
	}
}

func TestNativeClient(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	defer s.Close()
	res, err := Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != "hello" {
		t.Errorf("%q", body)
	}
}

// TestItBuildsAndVetsAsAModule: what tests of this machine's kind never compile.
func TestItBuildsAndVetsAsAModule(t *testing.T) {
	for _, args := range [][]string{{"vet", "./..."}, {"build", "-buildmode=c-shared", "-o", t.TempDir() + "/guest.wasm", "./testdata/guest"}} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %v: %v\n%s", args, err, out)
		}
	}
}
