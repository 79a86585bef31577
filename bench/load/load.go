// Package load drives an HTTP server over keep-alive connections in a closed loop and reads what its processes spent.
// The client is as small as it can be, so that on a machine with few cores it takes little from the server.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// Target is one request, sent again and again, and the answer that every one must get.
type Target struct {
	Addr    string // host:port on loopback
	Request []byte // a whole HTTP/1.1 request
	Status  int
	Body    string // "" is any
	PID     int    // the server; it and its descendants are counted
}

// Run is what one repetition saw.
type Run struct {
	Requests int           `json:"requests"`
	Took     time.Duration `json:"took_ns"`
	CPU      time.Duration `json:"cpu_ns"`
	Own      time.Duration `json:"own_ns"`   // of it, the server's process alone
	Statuses map[int]int   `json:"statuses"` // other than the wanted one
}

// PerRequest is the CPU of one request in microseconds.
func (r Run) PerRequest() float64 {
	return float64(r.CPU.Microseconds()) / float64(max(r.Requests, 1))
}

// Rate is requests a second.
func (r Run) Rate() float64 { return float64(r.Requests) / r.Took.Seconds() }

// Drive sends from conns connections for about d. An answer with another body than the wanted one is an error: a fast
// wrong answer is no figure. Answers with another status are counted, and an error unless others is set.
func Drive(ctx context.Context, t Target, conns int, d time.Duration, others bool) (Run, error) {
	before, err := CPU(t.PID)
	if err != nil {
		return Run{}, err
	}
	start := time.Now()
	end := start.Add(d)
	var mu sync.Mutex
	var wg sync.WaitGroup
	run, errs := Run{Statuses: map[int]int{}}, []error{}
	for range conns {
		wg.Go(func() {
			n, seen, err := one(ctx, t, end, others)
			mu.Lock()
			defer mu.Unlock()
			run.Requests += n
			for s, k := range seen {
				run.Statuses[s] += k
			}
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	run.Took = time.Since(start)
	after, err := CPU(t.PID)
	run.CPU, run.Own = after.All-before.All, after.Own-before.Own
	return run, errors.Join(append(errs, err)...)
}

// one is one connection's loop; it connects again when the server closed.
func one(ctx context.Context, t Target, end time.Time, others bool) (n int, seen map[int]int, err error) {
	seen = map[int]int{}
	var conn net.Conn
	var in *bufio.Reader
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for time.Now().Before(end) && ctx.Err() == nil {
		if conn == nil {
			if conn, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", t.Addr); err != nil {
				return n, seen, err
			}
			in = bufio.NewReader(conn)
		}
		if _, err := conn.Write(t.Request); err != nil {
			return n, seen, fmt.Errorf("writing: %w", err)
		}
		status, body, closing, err := answer(in)
		if err != nil {
			return n, seen, fmt.Errorf("reading: %w", err)
		}
		switch {
		case status != t.Status && !others:
			return n, seen, fmt.Errorf("status %d, want %d: %.200s", status, t.Status, body)
		case status != t.Status:
			seen[status]++
		case t.Body != "" && string(body) != t.Body:
			return n, seen, fmt.Errorf("body %.200q, want %q", body, t.Body)
		default:
			n++
		}
		if closing {
			conn.Close()
			conn = nil
		}
	}
	return n, seen, nil
}

// answer reads one response with a declared length.
func answer(in *bufio.Reader) (status int, body []byte, closing bool, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, nil, false, err
	}
	if len(line) < 12 {
		return 0, nil, false, fmt.Errorf("not a status line: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, false, fmt.Errorf("not a status line: %q", line)
	}
	length := 0
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, nil, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, nil, false, err
			}
		case bytes.EqualFold(name, []byte("connection")):
			closing = bytes.EqualFold(bytes.TrimSpace(value), []byte("close"))
		}
	}
	body = make([]byte, length)
	_, err = io.ReadFull(in, body)
	return status, body, closing, err
}

// Answer reads one response with a declared length.
func Answer(in *bufio.Reader) (status int, body []byte, err error) {
	status, body, _, err = answer(in)
	return status, body, err
}
