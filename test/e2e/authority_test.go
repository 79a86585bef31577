package e2e

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"casemate/internal/casetest/authority"
)

// authorityCommand starts an ACME authority before the node is up: $ACME is its directory, authority.pem whom its own
// certificate comes from, issued.pem whom those come from that it issues. It validates names at the node, wherever that
// listens by then; "authority down" and "authority up" cut its connections and mend them.
func authorityCommand(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	if neg || len(args) > 1 || (len(args) == 1) != (w.authority != nil) {
		ts.Fatalf("usage: authority, once; authority down | up")
	}
	if len(args) == 1 {
		w.authority.Down.Store(args[0] == "down")
		return
	}
	dir := ts.Getenv("CASEMATE_DIR")
	secure, plain := newRelay(ts, dir, "https://"), newRelay(ts, dir, "redirect")
	a, err := authority.New(authority.Config{TLSPort: secure, HTTPPort: plain})
	ts.Check(err)
	ts.Defer(func() { ts.Check(a.Close()) })
	w.authority = a
	ts.Setenv("ACME", a.Directory())
	ts.Check(os.WriteFile(ts.MkAbs("authority.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("issued.pem"), a.Root(), 0o600))
}

// newRelay is the port of a listener that leads to an address of the node in dir.
func newRelay(ts *testscript.TestScript, dir, which string) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	var work sync.WaitGroup
	ts.Defer(func() { l.Close(); work.Wait() })
	work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer in.Close()
				out, err := reach(of(ts), dir, which)
				if err != nil {
					return
				}
				defer out.Close()
				work.Go(func() { _, _ = io.Copy(out, in); out.Close() }) // either side may go first
				_, _ = io.Copy(in, out)
			})
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

// reach dials the node when it has said where it is.
func reach(w *world, dir, which string) (net.Conn, error) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		var at struct {
			HTTP     []string
			Redirect string
		}
		text, err := os.ReadFile(filepath.Join(dir, "node.json"))
		if err == nil && json.Unmarshal(text, &at) == nil {
			for _, u := range append(at.HTTP, strings.Replace(at.Redirect, "http://", "redirect", 1)) {
				if addr, ok := strings.CutPrefix(u, which); ok {
					return net.Dial("tcp", addr)
				}
			}
			return nil, errors.New("it does not listen there")
		}
		select {
		case <-look.C:
		case <-w.ctx.Done():
			return nil, w.ctx.Err()
		}
	}
}
