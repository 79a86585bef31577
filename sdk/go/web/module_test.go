package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// answered is what the guest of testdata answers.
type answered struct {
	Status            int
	Type, Text, Error string
	Refused           bool
}

// outsideFor makes the module "casemate" of a runtime: requests to the server go through, all others are refused.
func outsideFor(t *testing.T, r wazero.Runtime, server string) {
	var response []byte
	send := func(_ context.Context, m api.Module, at, n uint32) int64 {
		view, _ := m.Memory().Read(at, n)
		head, body, _ := strings.Cut(string(view), "\r\n\r\n")
		lines := strings.Split(head, "\r\n")
		method, url, _ := strings.Cut(lines[0], " ")
		if !strings.HasPrefix(url, server) {
			return -1
		}
		request, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			return -3
		}
		for _, l := range lines[1:] {
			name, value, _ := strings.Cut(l, ": ")
			request.Header.Add(name, value)
		}
		res, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			return -2
		}
		defer res.Body.Close()
		var b bytes.Buffer
		b.WriteString(res.Status[:3] + "\r\n")
		_ = res.Header.Write(&b) // a buffer takes everything
		b.WriteString("\r\n")
		_, _ = io.Copy(&b, res.Body)
		response = b.Bytes()
		return int64(len(response))
	}
	read := func(_ context.Context, m api.Module, at, n uint32) int32 {
		room, _ := m.Memory().Read(at, min(n, 1000))
		k := copy(room, response)
		response = response[k:]
		return int32(k)
	}
	_, err := r.NewHostModuleBuilder("casemate").NewFunctionBuilder().WithFunc(send).Export("http_send").
		NewFunctionBuilder().WithFunc(read).Export("http_read").Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
}

// TestModule runs the guest as a command. Compiling net/http takes long, so that only a full run does it.
func TestModule(t *testing.T) {
	if os.Getenv("CASEMATE_FULL") == "" {
		t.Skip("a full run compiles net/http to machine code")
	}
	file := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-o", file, "./testdata/guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789", 20_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			_, _ = io.WriteString(w, long)
		case "/hop":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://evil.example/", http.StatusFound)
		default:
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "text/x-test")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, r.Method+" "+r.Header.Get("X-Asked")+" "+string(body))
		}
	}))
	defer server.Close()
	asks := strings.ReplaceAll(`[{"url":"URL/","method":"PUT","body":"body","header":"head"},{"url":"URL/long"},{"url":"URL/hop"},{"url":"URL/away"},{"url":"http://evil.example/"}]`, "URL", server.URL)
	r := wazero.NewRuntime(t.Context())
	defer r.Close(context.Background())
	wasi_snapshot_preview1.MustInstantiate(t.Context(), r)
	outsideFor(t, r, server.URL)
	var out bytes.Buffer
	if _, err := r.InstantiateWithConfig(t.Context(), code, wazero.NewModuleConfig().WithStdin(strings.NewReader(asks)).WithStdout(&out).WithStderr(os.Stderr).
		WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime()); err != nil && !strings.Contains(err.Error(), "exit_code(0)") {
		t.Fatal(err)
	}
	var got []answered
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got) != 6 {
		t.Fatalf("%q: %v", out.Bytes(), err)
	}
	if !got[0].Refused || got[1] != (answered{Status: 201, Type: "text/x-test", Text: "PUT head body"}) || got[2].Text != long || got[3].Text != "GET  " ||
		!got[4].Refused || !got[5].Refused {
		t.Errorf("%.500s", out.Bytes())
	}
}
