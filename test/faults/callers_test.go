package faults

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casemate/deploy/manifest"
	"casemate/internal/casetest/guests"
	"casemate/internal/casetest/nodetest"
)

// crowded is an app with fewer places than it has callers, and every check on its routes.
const crowded = `app: crowded
functions:
  echo: {runtime: wasm, code: echo.wasm, timeout: 30s, memory: 32MB, concurrency: 4, rate: 1000000/s burst 1000000}
  warm: {runtime: provided.al2023, code: native.zip, timeout: 30s, memory: 128MB, isolation: warm, concurrency: 4, rate: 1000000/s burst 1000000}
routes:
  POST /echo: {function: echo, auth: [key], rate: 1000000/s burst 1000000, contract: {file: contract.json}}
  POST /warm: {function: warm, auth: [key], rate: 1000000/s burst 1000000, contract: {file: contract.json}}
roles:
  caller:
    grants: [call POST /echo, call POST /warm]
`

const crowdedContract = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["text"],"properties":{"text":{"type":"string","maxLength":80}}}`

// crowd is callers that all ask at once and again as soon as they are answered, refused or not.
type crowd struct {
	client *http.Client
	url    string
	key    string
	many   int
	each   int           // requests of each; 0: until the time is over
	during time.Duration // 0: until each has sent its own

	mu       sync.Mutex
	statuses map[int]int
	faults   []string
	took     []time.Duration // of those that were served
}

// ask sends one request and counts its answer.
func (c *crowd) ask(k int) {
	body := fmt.Sprintf(`{"text":"caller %d"}`, k)
	r, err := http.NewRequest(http.MethodPost, c.url, strings.NewReader(body))
	if err != nil {
		c.fault("%v", err)
		return
	}
	r.Header.Set("x-api-key", c.key)
	r.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := c.client.Do(r)
	if err != nil {
		c.fault("%v", err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	took := time.Since(began)
	switch {
	case err != nil:
		c.fault("%v", err)
	case resp.StatusCode == http.StatusOK && !bytes.Contains(text, []byte(fmt.Sprintf("caller %d", k))):
		c.fault("caller %d got another's answer: %.200s", k, text)
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusTooManyRequests:
		c.fault("%d: %.300s", resp.StatusCode, text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.statuses[resp.StatusCode]++; resp.StatusCode == http.StatusOK {
		c.took = append(c.took, took)
	}
}

func (c *crowd) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) < 20 {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

// run has all of them ask, and gives what they saw.
func (c *crowd) run() string {
	c.statuses = map[int]int{}
	var over atomic.Bool
	if c.during > 0 {
		defer time.AfterFunc(c.during, func() { over.Store(true) }).Stop()
	}
	began := time.Now()
	var callers sync.WaitGroup
	for k := range c.many {
		callers.Go(func() {
			for n := 0; !over.Load() && (c.each == 0 || n < c.each); n++ {
				c.ask(k)
			}
		})
	}
	callers.Wait()
	took := time.Since(began)
	text := fmt.Sprintf("%d callers, %s:", c.many, took.Round(time.Millisecond))
	for _, s := range slices.Sorted(maps.Keys(c.statuses)) {
		text += fmt.Sprintf(" %d of status %d (%.0f/s),", c.statuses[s], s, float64(c.statuses[s])/took.Seconds())
	}
	if slices.Sort(c.took); len(c.took) > 0 {
		text += fmt.Sprintf(" served: p50 %s, p99 %s", c.took[len(c.took)/2].Round(10*time.Microsecond), c.took[len(c.took)*99/100].Round(10*time.Microsecond))
	}
	return text
}

// TestManyCallersAtOnce: more callers than there are places, on connections of their own, get their answers or 429, and nothing
// else; afterwards every place is free. In full it is 512 of them for a minute, for each kind of function.
func TestManyCallersAtOnce(t *testing.T) {
	n := mustStart(t, folder(t))
	if err := n.deploy(nodetest.Pack(t, map[string][]byte{manifest.File: []byte(crowded), "echo.wasm": guests.Echo(), "native.zip": shared.native, "contract.json": []byte(crowdedContract)})); err != nil {
		t.Fatal(err)
	}
	c := crowd{key: newKey(t, n, "caller"), many: 64, each: 20}
	if shared.full {
		c.many, c.each, c.during = 512, 0, time.Minute
	}
	c.client = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: c.many, MaxConnsPerHost: c.many}}
	defer c.client.CloseIdleConnections()
	for _, path := range []string{"/echo", "/warm"} {
		c.url, c.took, c.faults = n.At.HTTP[0]+path, nil, nil
		t.Logf("%s: %s", path, c.run())
		for _, f := range c.faults {
			t.Errorf("%s: %s", path, f)
		}
		if c.statuses[http.StatusOK] == 0 || shared.full && c.statuses[http.StatusTooManyRequests] == 0 {
			t.Errorf("%s: %v", path, c.statuses)
		}
		// One after the other: each place that was taken has been given back.
		alone := crowd{client: c.client, url: c.url, key: c.key, many: 1, each: 8}
		if alone.run(); alone.statuses[http.StatusOK] != alone.each {
			t.Errorf("%s afterwards: %v %q", path, alone.statuses, alone.faults)
		}
	}
	select {
	case <-n.Ended:
		t.Fatalf("the node ended: %v\n%s", n.Err, n.Said)
	default:
	}
	n.stop()
}
