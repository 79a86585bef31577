package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
)

// ErrRefused is in the chain of the error of a request that the function may not make, because it has no grant for the
// host and port, or a limit of the run was reached, or the module was still initialising. `casemate egress list` tells.
var ErrRefused = errors.New("refused: no grant, a limit of the run, or no event is being handled")

var (
	errFailed    = errors.New("the exchange failed")
	errMalformed = errors.New("malformed")
	errTooLarge  = errors.New("the request or the response is too large")
	errHost      = errors.New("a request whose Host is not its URL's")
)

// largest request, in bytes.
const largest = 1 << 20

// transport makes exchanges by two calls of the host.
type transport struct {
	mu   sync.Mutex // there is one response at a time
	send func(text []byte) int64
	read func(room []byte) int32
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := encode(r)
	if err != nil {
		return nil, err
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response, err := t.exchange(text)
	if err != nil {
		return nil, err
	}
	return decode(r, response)
}

func (t *transport) exchange(text []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch n := t.send(text); {
	case n >= 0:
		response := make([]byte, n)
		for rest := response; len(rest) > 0; {
			k := t.read(rest)
			if k <= 0 {
				return nil, io.ErrUnexpectedEOF
			}
			rest = rest[k:]
		}
		return response, nil
	case n == -1:
		return nil, ErrRefused
	case n == -3:
		return nil, errMalformed
	case n == -4:
		return nil, errTooLarge
	}
	return nil, errFailed
}

// hop are the fields that the other end of the call writes.
var hop = map[string]bool{"Host": true, "Connection": true, "Content-Length": true, "Transfer-Encoding": true, "Upgrade": true, "Te": true,
	"Trailer": true, "Keep-Alive": true, "Expect": true, "Proxy-Connection": true, "Proxy-Authorization": true}

// encode writes a request, and closes its body.
func encode(r *http.Request) ([]byte, error) {
	body := r.Body
	if body == nil {
		body = http.NoBody
	}
	defer body.Close()
	if r.Host != "" && r.Host != r.URL.Host {
		return nil, errHost
	}
	to := *r.URL
	to.User, to.Fragment = nil, ""
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\r\n", method, to.String())
	for name, values := range r.Header {
		if hop[textproto.CanonicalMIMEHeaderKey(name)] {
			continue
		}
		for _, v := range values {
			if strings.ContainsAny(name+v, "\r\n") || strings.Contains(name, ":") {
				return nil, fmt.Errorf("the field %q: %w", name, errMalformed)
			}
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	b.WriteString("\r\n")
	if _, err := io.Copy(&b, io.LimitReader(body, largest+1)); err != nil {
		return nil, err
	}
	if b.Len() > largest {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

// decode reads a response.
func decode(r *http.Request, text []byte) (*http.Response, error) {
	line, rest, _ := bytes.Cut(text, []byte("\r\n"))
	status, err := strconv.Atoi(string(line))
	if err != nil {
		return nil, fmt.Errorf("the response: %w", errMalformed)
	}
	header := http.Header{}
	for {
		var ok bool
		if line, rest, ok = bytes.Cut(rest, []byte("\r\n")); !ok {
			return nil, fmt.Errorf("the response: %w", errMalformed)
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := strings.Cut(string(line), ":")
		header.Add(name, strings.TrimSpace(value))
	}
	return &http.Response{Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(rest)), ContentLength: int64(len(rest)), Request: r}, nil
}
