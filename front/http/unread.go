package http

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	nethttp "net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/front/conn"
)

// unread answers requests that are sure to be refused before they become requests: those of a source that is beyond its
// rate, and those with a credential whose own rate is used up. On an HTTP/1.1 connection that is idle, a block of bytes that
// is exactly one or more whole requests, with an end that no reader can doubt, gets its 429 at once: no header is kept, no
// goroutine woken, no record opened. Whatever is not as plain as that goes the long way and is refused there.
//
// On an HTTP/2 connection they are refused once their headers are decoded (away). They are counted, and told once a second.
type unread struct {
	c    *Config
	seed maphash.Seed

	tally *conn.Tally

	mu   sync.Mutex
	shut map[uint64]shutFor // by hash of the credential
}

// shutFor is a credential whose holder's rate is used up.
type shutFor struct {
	until           int64 // Unix nanoseconds
	rule, principal string
}

const (
	maxShut = 4096 // credentials
)

func newUnread(c *Config, tally *conn.Tally) *unread {
	return &unread{c: c, tally: tally, seed: maphash.MakeSeed(), shut: map[uint64]shutFor{}}
}

// close notes that nothing of who sent this credential is let in for a while.
func (u *unread) close(cred *casemate.Credential, principal string, e *casemate.Error) {
	if e.Shut <= 0 || u.c.Refused == nil || cred.Kind != casemate.CredentialKey && cred.Kind != casemate.CredentialBearer {
		return
	}
	now := u.c.Clock().UnixNano()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.shut) >= maxShut {
		for k, s := range u.shut {
			if s.until <= now {
				delete(u.shut, k)
			}
		}
		if len(u.shut) >= maxShut {
			return // they are refused the long way
		}
	}
	u.shut[maphash.String(u.seed, cred.Secret)] = shutFor{now + int64(e.Shut), e.Rule, principal}
}

// closed says by which rule a credential is refused at now, and how long.
func (u *unread) closed(key []byte, now int64) (shutFor, bool) {
	if len(key) == 0 {
		return shutFor{}, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.shut) == 0 {
		return shutFor{}, false
	}
	s, ok := u.shut[maphash.Bytes(u.seed, key)]
	return s, ok && s.until > now
}

// turn answers b, the first bytes of an idle connection of peer, when all of it is refused. It reports whether it did.
func (u *unread) turn(w *wire, b []byte) bool {
	now := u.c.Clock()
	wait := u.c.Knock(now, w.source, w.peer)
	times, rule, principal := 0, "", ""
	for rest := b; len(rest) > 0; times++ {
		n, key := request(rest)
		if n == 0 {
			return false
		}
		if rest = rest[n:]; wait > 0 {
			continue
		}
		s, shut := u.closed(key, now.UnixNano())
		if !shut || times > 0 && s.rule != rule {
			return false
		}
		rule, principal = s.rule, s.principal
	}
	if times == 0 {
		return false
	}
	if wait > 0 {
		rule = "rate of source " + w.source
	}
	u.tally.Add(casemate.Turned{Source: w.source, Rule: rule, Principal: principal, Times: times})
	if text := w.refusal(now, rule); times == 1 {
		_, err := w.Conn.Write(text)
		return err == nil
	} else {
		_, err := w.Conn.Write(bytes.Repeat(text, times))
		return err == nil
	}
}

// spent is the refusal of who has used up what rule allows.
func spent(rule string) *casemate.Error {
	e := casemate.Errorf(casemate.Exhausted, "slow down: wait as long as Retry-After says", "too many requests: the %s is used up", rule)
	e.Rule, e.Retry = rule, 1
	return e
}

// refusal is the whole answer, made once a second for a connection.
func (w *wire) refusal(now time.Time, rule string) []byte {
	if s := now.Unix(); w.said == nil || w.saidAt != s || w.saidRule != rule {
		e := spent(rule)
		text, err := json.Marshal(e.Body(""))
		if err != nil { // strings always encode
			text = []byte("{}")
		}
		var h bytes.Buffer
		h.WriteString("HTTP/1.1 429 Too Many Requests\r\nCache-Control: no-store\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(text)) +
			"\r\nDate: " + now.UTC().Format(nethttp.TimeFormat) + "\r\nRatelimit: " + spentLimit(e) + "\r\nRetry-After: 1\r\nX-Content-Type-Options: nosniff\r\n\r\n")
		h.Write(text)
		w.said, w.saidAt, w.saidRule = h.Bytes(), s, rule
		_ = w.Conn.SetWriteDeadline(time.Now().Add(w.unread.c.Limits.WriteTime)) // fails only on a closed connection, as the write will
		_ = w.Conn.SetReadDeadline(time.Now().Add(w.unread.c.Limits.IdleTime))
	}
	return w.said
}

// request reads the first request of b: its length when all of it is there and there is but one way to see where it ends,
// else 0; and the credential that it was sent with.
func request(b []byte) (n int, key []byte) {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || !bytes.HasSuffix(line, []byte(" HTTP/1.1")) || !method(line) {
		return 0, nil
	}
	length := -1
	for {
		if line, rest, ok = bytes.Cut(rest, []byte("\r\n")); !ok {
			return 0, nil
		}
		if len(line) == 0 {
			break
		}
		name, value, colon := bytes.Cut(line, []byte(":"))
		if !colon || !token(name) || bytes.IndexByte(value, '\n') >= 0 || bytes.IndexByte(value, '\r') >= 0 {
			return 0, nil
		}
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "content-length"):
			if length >= 0 || len(value) == 0 || len(value) > 6 || len(bytes.Trim(value, "0123456789")) > 0 {
				return 0, nil
			}
			length, _ = strconv.Atoi(string(value)) // six digits
		case is(name, "transfer-encoding"), is(name, "expect"), is(name, "upgrade"), is(name, "connection") && !is(value, "keep-alive"):
			return 0, nil
		case is(name, "x-api-key"):
			if key != nil || len(value) == 0 {
				return 0, nil
			}
			key = value
		case is(name, "authorization"):
			if key != nil || len(value) < 8 || !is(value[:7], "bearer ") {
				return 0, nil
			}
			key = bytes.TrimSpace(value[7:])
		}
	}
	length = max(length, 0)
	if len(rest) < length {
		return 0, nil
	}
	return len(b) - len(rest) + length, key
}

// method reports whether a request line has one whose answer has a body of its own.
func method(line []byte) bool {
	word, _, _ := bytes.Cut(line, []byte(" "))
	return slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, string(word))
}

func is(b []byte, lower string) bool {
	return len(b) == len(lower) && strings.EqualFold(string(b), lower)
}

// token reports whether b is a header's name (RFC 9110 section 5.6.2); nothing else is guessed at.
func token(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) > 0
}
