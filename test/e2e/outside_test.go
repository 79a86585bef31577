package e2e

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"casemate/internal/casetest/guests"
)

// outside is the world that functions reach: a web site with a certificate for example.com, and without.
func outside(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/away" {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		return
	}
	_, _ = io.WriteString(w, "hello from "+r.Host) // the caller's loss
}

// outsideCommand starts the outside world: "outside CA-FILE..." sets $SECURE and $PLAIN to its addresses
// and $PLAIN_PORT, and writes its
// certificate where the functions read it.
func outsideCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: outside CA-FILE...")
	}
	secure, plain := httptest.NewTLSServer(http.HandlerFunc(outside)), httptest.NewServer(http.HandlerFunc(outside))
	ts.Defer(secure.Close)
	ts.Defer(plain.Close)
	for _, file := range args {
		ts.Check(os.WriteFile(ts.MkAbs(file), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o644))
	}
	ts.Setenv("SECURE", strings.TrimPrefix(secure.URL, "https://"))
	ts.Setenv("PLAIN", strings.TrimPrefix(plain.URL, "http://"))
	ts.Setenv("PLAIN_PORT", plain.URL[strings.LastIndexByte(plain.URL, ':')+1:])
}

// courier writes the module that makes a request: "courier FILE".
func courier(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: courier FILE")
	}
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), guests.Courier(), 0o644))
}
