package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// collector is an OpenTelemetry collector that keeps what it hears.
type collector struct {
	server *httptest.Server
	mu     sync.Mutex
	heard  []string      // "path body"
	more   chan struct{} // closed and made anew whenever something came
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, r.URL.Path+" "+string(body))
	close(c.more)
	c.more = make(chan struct{})
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}") // the exporter's loss, not ours
}

// find gives what was heard and matches, or a channel that ends when there is more.
func (c *collector) find(pattern *regexp.Regexp) (string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.heard {
		if pattern.MatchString(h) {
			return h, nil
		}
	}
	return "", c.more
}

// collectorCommand starts a collector ("collector start" sets $OTLP) or waits until something that matches was heard
// ("collector await PATTERN", where the pattern sees the path, a space and the body); "! collector heard PATTERN" holds
// when nothing was.
func collectorCommand(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	switch {
	case len(args) == 1 && args[0] == "start" && w.collector == nil:
		w.collector = &collector{more: make(chan struct{})}
		w.collector.server = httptest.NewServer(w.collector)
		ts.Defer(w.collector.server.Close)
		ts.Setenv("OTLP", w.collector.server.URL)
	case len(args) == 2 && (args[0] == "await" || args[0] == "heard"):
		pattern, err := regexp.Compile("(?s)" + args[1])
		ts.Check(err)
		for {
			text, more := w.collector.find(pattern)
			if args[0] == "heard" {
				if (text != "") == neg {
					ts.Fatalf("heard: %q", text)
				}
				return
			}
			if text != "" {
				put(ts, text+"\n")
				return
			}
			select {
			case <-more:
			case <-w.ctx.Done():
				ts.Fatalf("nothing that matches %s came", pattern)
			}
		}
	default:
		ts.Fatalf("usage: collector start, collector await PATTERN, ! collector heard PATTERN")
	}
}
