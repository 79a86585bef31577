package wasm

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"casemate"
	"casemate/sandbox/wasm/wire"
)

// maxFields of a request's head.
const maxFields = 100

// asked has an HTTP request of the first call made. The worker waits for what comes of it, so there is one at a time.
func (w *link) asked(f *function, body []byte) error {
	if err := w.ask(f, body); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow() // another may use the CPU meanwhile
	return nil
}

func (w *link) ask(f *function, body []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.calls) == 0 || w.asking || w.mute || len(body) > wire.SendLimit {
		return errRequest
	}
	c, text := w.calls[0], bytes.Clone(body)
	// At its end the worker stops it by itself, or is killed.
	ctx, cancel := context.WithDeadline(f.pool.ctx, c.kill.Add(-stopGrace))
	c.asked, w.asking, w.cancel = true, true, cancel
	w.outside.away.Store(true)
	w.requests.Add(1)
	f.pool.tasks.Go(func() {
		defer w.requests.Done()
		defer cancel()
		fetched := w.outside.fetch(ctx, f, c.report, text)
		w.respond(ctx, c, fetched.Frame())
	})
	return nil
}

// respond writes what came of a request of c. What the worker got of it counts as its call's, as long as that lasts.
func (w *link) respond(ctx context.Context, c *call, frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asking = false
	w.outside.away.Store(false)
	if w.lost != nil || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	c.size += len(frame)
	w.out = append(w.out, frame...)
	w.drain(false)
}

// hush ends the request that is under way, and lets no other begin.
func (w *link) hush() {
	w.mu.Lock()
	w.mute = true
	if w.cancel != nil {
		w.cancel()
	}
	w.mu.Unlock()
	w.requests.Wait()
}

// fetch makes one exchange for the run of r.
func (o *outside) fetch(ctx context.Context, f *function, r *report, text []byte) wire.Fetched {
	request, code := parseRequest(text)
	if code != wire.CodeOK {
		return wire.Fetched{Code: code}
	}
	door, err := o.begin(f, r)
	if err != nil {
		return wire.Fetched{Code: codeOf(ctx, err)}
	}
	response, err := door.Fetch(ctx, request)
	if err != nil {
		return wire.Fetched{Code: codeOf(ctx, err)}
	}
	return formatResponse(response)
}

// codeOf is all that a guest learns of why there is no response.
func codeOf(ctx context.Context, err error) wire.Code {
	if ctx.Err() != nil {
		return wire.CodeLate
	}
	switch casemate.CodeOf(err) {
	case casemate.Forbidden, casemate.Exhausted:
		return wire.CodeRefused
	case casemate.Invalid:
		return wire.CodeMalformed
	case casemate.TooLarge:
		return wire.CodeTooLarge
	}
	return wire.CodeFailed
}

// parseRequest reads a request as the package comment describes it. What it means is the door's to judge.
func parseRequest(text []byte) (*casemate.Fetch, wire.Code) {
	line, rest, ok := bytes.Cut(text, []byte("\r\n"))
	method, target, spaced := strings.Cut(string(line), " ")
	if !ok || !spaced || !isToken(method) || !isTarget(target) {
		return nil, wire.CodeMalformed
	}
	f := &casemate.Fetch{Method: method, URL: target, Header: map[string][]string{}}
	for fields := 0; ; fields++ {
		if line, rest, ok = bytes.Cut(rest, []byte("\r\n")); !ok {
			return nil, wire.CodeMalformed
		}
		if len(line) == 0 {
			f.Body = rest
			return f, wire.CodeOK
		}
		if fields == maxFields {
			return nil, wire.CodeTooLarge
		}
		name, value, _ := strings.Cut(string(line), ":")
		if value = strings.Trim(value, " \t"); len(name) == len(line) || !isToken(name) || strings.ContainsFunc(value, isControl) {
			return nil, wire.CodeMalformed
		}
		textproto.MIMEHeader(f.Header).Add(name, value)
	}
}

// isToken says whether s is a token: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

func isTarget(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// breaking are the bytes that would end a line of a response's head.
var breaking = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ")

// formatResponse writes a response as the package comment describes it.
func formatResponse(f *casemate.Fetched) wire.Fetched {
	b := strconv.AppendInt(make([]byte, 0, 1024+len(f.Body)), int64(f.Status), 10)
	b = append(b, "\r\n"...)
	for _, name := range slices.Sorted(maps.Keys(f.Header)) {
		for _, value := range f.Header[name] {
			b = append(append(append(append(b, breaking.Replace(name)...), ": "...), breaking.Replace(value)...), "\r\n"...)
		}
	}
	b = append(append(b, "\r\n"...), f.Body...)
	if len(b) > wire.FetchedLimit {
		return wire.Fetched{Code: wire.CodeTooLarge}
	}
	return wire.Fetched{Text: b}
}
