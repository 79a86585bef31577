package abuse

import (
	"bufio"
	"encoding/xml"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"casemate/internal/casetest/product"
)

// report is what h2spec writes with -j.
type report struct {
	Suites []struct {
		Cases []struct {
			Package string    `xml:"package,attr"`
			Class   string    `xml:"classname,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// h2spec gives the cases that a server passes.
func h2spec(t *testing.T, tool, addr string, sections ...string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.xml")
	out, err := exec.Command(tool, append([]string{"-h", host, "-p", port, "-t", "-k", "-o", "3", "-j", file}, sections...)...).CombinedOutput() // fails where a case does
	text, unread := os.ReadFile(file)
	if unread != nil {
		t.Fatalf("%v, %v\n%s", unread, err, out)
	}
	var r report
	if err := xml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var passed []string
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			if c.Failure == nil && c.Error == nil && c.Skipped == nil {
				passed = append(passed, c.Package+": "+c.Class)
			}
		}
	}
	return passed
}

// The node passes every case of h2spec that Go's own server passes in the same run.
func TestH2specIsNoWorseThanGo(t *testing.T) {
	if os.Getenv("CASEMATE_FULL") == "" {
		t.Skip("make full runs h2spec")
	}
	tool, err := exec.LookPath("../../bin/h2spec")
	if err != nil {
		tool, err = exec.LookPath("h2spec")
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("h2spec is missing: scripts/tools installs it")
		}
		t.Skip("*** h2spec is MISSING, and HTTP/2 is not compared: go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible ***")
	}
	bare := httptest.NewUnstartedServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		_, _ = w.Write([]byte(`{"message":"no such route"}`))
	}))
	bare.EnableHTTP2 = true
	bare.StartTLS()
	defer bare.Close()
	theirs := h2spec(t, tool, bare.Listener.Addr().String())
	addr := node(t)
	ours := h2spec(t, tool, addr)
	t.Logf("Go's server passes %d cases, the node %d", len(theirs), len(ours))
	for _, c := range theirs {
		section, _, _ := strings.Cut(c, ":")
		for try := 0; try < 5 && !slices.Contains(ours, c); try++ { // some cases race with the answer, which may end the stream first
			t.Logf("the node alone fails, in try %d, %s", try, c)
			ours = append(ours, slices.DeleteFunc(h2spec(t, tool, addr, section), func(p string) bool { return p != c })...)
		}
		if !slices.Contains(ours, c) {
			t.Errorf("the node alone fails %s", c)
		}
	}
	for _, c := range ours {
		if !slices.Contains(theirs, c) {
			t.Logf("Go's server alone fails %s", c)
		}
	}
	if len(theirs) == 0 || len(ours) < len(theirs) {
		t.Errorf("%d cases against %d", len(ours), len(theirs))
	}
}

// node builds the binary, starts it, and gives its HTTPS address.
func node(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "casemate")
	if err := product.Casemate(bin); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(bin, "--dir", filepath.Join(dir, "node"), "up", "--http", "", "--https", "127.0.0.1:0", "--aws", "", "--allow-weak-sandbox")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Error("the node: ", err)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if u, err := url.Parse(strings.TrimSpace(lines.Text())); err == nil && u.Scheme == "https" {
			return u.Host
		}
	}
	t.Fatal("the node says no address")
	return ""
}
