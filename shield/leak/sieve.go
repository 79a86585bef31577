package leak

import (
	"bytes"
	"fmt"
	"strings"
)

// Bounds of what is kept back, in bytes.
const (
	maxLine    = 8 << 10  // a line of a body that looks like one with a trace
	maxToken   = 19 + 500 // the longest credential
	maxNumber  = 48       // of a card or an account, with its gaps
	maxPEMHead = 64       // of a private key, from its first dash to where it says what it is
	leastPEM   = 150      // a private key that is shorter is a placeholder
)

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
)

// Sieve lets a body out while it comes, without what must not leave. It keeps back an end of what came that a credential, a
// number or a private key may begin with, and whole lines once the body looks like one with a stack trace: nothing else waits.
// What is split over any borders is found as in one piece.
type Sieve struct {
	rules   Rules
	text    bool // traces are looked for
	held    []byte
	spare   []byte // the memory that held had before
	before  byte   // in front of held
	began   bool
	json    bool
	traced  bool // from here on the body leaves in whole lines
	inKey   bool // a private key is being dropped
	secrets finder
	traces  finder
}

// NewSieve makes one for a body with this media type.
func NewSieve(media string, r Rules) *Sieve {
	return &Sieve{rules: r, text: r.Traces != Off && textual(media)}
}

// Pass takes the next part of the body and gives what may leave now; it is good until the next call. blocked is the rule
// because of which nothing more may, "" when there is none.
func (s *Sieve) Pass(p []byte) (out []byte, blocked string) {
	if len(s.held) > 0 {
		s.held = append(s.held, p...)
		p = s.held
	}
	return s.let(p, s.open(p))
}

// End gives what was kept back to the end of the body.
func (s *Sieve) End() (out []byte, blocked string) { return s.let(s.held, len(s.held)) }

// let lets body out up to at, and keeps the rest.
func (s *Sieve) let(body []byte, at int) ([]byte, string) {
	rest := append(s.spare[:0], body[at:]...)
	s.spare, s.held = s.held[:0], rest
	if at == 0 {
		return nil, ""
	}
	out := body[:at]
	last := out[at-1]
	if !s.began {
		s.began, s.json = true, looksJSON(out)
	}
	if s.traced {
		out = traces(out, s.json, false, &s.traces)
	}
	if s.rules.Secrets != Off {
		if s.inKey {
			out = s.drop(out)
		}
		s.inKey = s.inKey || cutKey(out)
		secrets(out, s.before, s.rules.Secrets, &s.secrets)
		out = s.secrets.apply(out)
	}
	if s.rules.Personal == Mask || s.rules.Personal == Block {
		numbers(out, s.before, s.rules.Personal, &s.secrets)
		for i := range s.secrets.edits { // JSON is not told from text here
			s.secrets.edits[i].with = mask
		}
		out = s.secrets.apply(out)
	}
	s.before = last
	if s.secrets.block != "" {
		return nil, s.secrets.block
	}
	return out, ""
}

// cutKey reports whether out ends inside a private key.
func cutKey(out []byte) bool {
	i := bytes.LastIndex(out, []byte(pemBegin))
	return i >= 0 && keyHead(out[i:]) == yes && keyEnd(out[i:]) < 0 && len(out)-i >= leastPEM
}

// drop takes the rest of a private key away.
func (s *Sieve) drop(out []byte) []byte {
	end := keyEnd(out)
	if end < 0 {
		return nil
	}
	s.inKey, s.before = false, '-'
	return out[end:]
}

// keyEnd is where the last line of a private key ends, -1 when it is not there.
func keyEnd(v []byte) int {
	i := bytes.Index(v, []byte(pemEnd))
	if i < 0 {
		return -1
	}
	j := bytes.Index(v[i+len(pemEnd):], []byte("-----"))
	if j < 0 {
		return -1
	}
	return i + len(pemEnd) + j + 5
}

// open is from where on body has to be kept back: what is before has been decided on.
func (s *Sieve) open(body []byte) int {
	at := len(body)
	if s.rules.Secrets != Off {
		at = min(s.openKey(body), s.openToken(body))
	}
	if s.rules.Personal == Mask || s.rules.Personal == Block {
		at = min(at, openNumber(body))
	}
	if s.text {
		at = s.openLine(body, at)
	}
	return s.covered(body, at)
}

// openLine keeps lines together once the body looks like one with a trace, and what may begin to look so.
func (s *Sieve) openLine(body []byte, at int) int {
	if s.traced = s.traced || suspicious(body); s.traced {
		line := bytes.LastIndexByte(body[:at], '\n') + 1
		if at-line > maxLine {
			return at
		}
		return line
	}
	for _, name := range telling {
		for n := min(len(name)-1, len(body)); n > 0; n-- {
			if bytes.HasSuffix(body, []byte(name[:n])) {
				at = min(at, len(body)-n)
				break
			}
		}
	}
	return at
}

// openToken is where a credential may have begun that goes on after the end of body.
func (s *Sieve) openToken(body []byte) int {
	for i := max(len(body)-maxToken, 0); i < len(body); i++ {
		rest := body[i:]
		if len(rest) >= 3 {
			if n := three(rest); starts[n/8]&(1<<(n%8)) == 0 {
				continue
			}
		}
		if inWord(body, s.before, i) {
			continue
		}
		for k := range kinds {
			if kinds[k].unfinished(rest) {
				return i
			}
		}
	}
	return len(body)
}

// unfinished reports whether v may be the beginning of a credential of the kind, whose end is not there.
func (k *kind) unfinished(v []byte) bool {
	n := min(len(v), len(k.prefix))
	if string(v[:n]) != k.prefix[:n] {
		return false
	}
	v = v[n:]
	if len(v) > k.most {
		return false
	}
	for _, c := range v {
		if strings.IndexByte(k.chars, c) < 0 {
			return false
		}
	}
	return true
}

// covered moves at behind a private key or a credential that it would cut in two.
func (s *Sieve) covered(body []byte, at int) int {
	if s.rules.Secrets == Off || at == len(body) {
		return at
	}
	for from := 0; ; {
		i := bytes.Index(body[from:at], []byte(pemBegin))
		if i < 0 {
			break
		}
		if from += i; keyHead(body[from:]) == yes {
			end := keyEnd(body[from:])
			if end < 0 {
				return from + lastLine(body[from:]) // of one that is too short for this nothing leaves yet
			}
			at = max(at, from+end)
		}
		from += len(pemBegin)
	}
	for i := max(at-maxToken, 0); i < at && i+3 < len(body); i++ {
		if n := three(body[i:]); starts[n/8]&(1<<(n%8)) == 0 || inWord(body, s.before, i) {
			continue
		}
		for k := range kinds {
			if end := kinds[k].match(body, i); end > at && end < len(body) {
				return end
			}
		}
	}
	return at
}

// openKey is where a private key may have begun of which too little is there. One that is dropped keeps what may be its end.
func (s *Sieve) openKey(body []byte) int {
	from := 0
	if s.inKey {
		if from = keyEnd(body); from < 0 {
			return lastLine(body)
		}
	}
	for {
		i := bytes.Index(body[from:], []byte(pemBegin))
		if i < 0 {
			return len(body) - partial(body[from:], pemBegin)
		}
		from += i
		rest := body[from:]
		switch head := keyHead(rest); {
		case head == unknown:
			return from
		case head == yes && keyEnd(rest) < 0:
			if n := lastLine(rest); n >= leastPEM {
				return from + n
			}
			return from
		}
		from += len(pemBegin)
	}
}

// lastLine is where the last line of a private key may have begun, in one whose end is not there.
func lastLine(v []byte) int {
	if i := bytes.Index(v, []byte(pemEnd)); i >= 0 && len(v)-i < maxPEMHead {
		return i
	}
	return len(v) - partial(v, pemEnd)
}

// partial is how much of the end of v is the beginning of word.
func partial(v []byte, word string) int {
	for n := min(len(word)-1, len(v)); n > 0; n-- {
		if bytes.HasSuffix(v, []byte(word[:n])) {
			return n
		}
	}
	return 0
}

type answer uint8

const (
	no answer = iota
	yes
	unknown
)

// keyHead reports whether what begins like PEM is a private key.
func keyHead(v []byte) answer {
	head := v[:min(len(v), maxPEMHead)]
	switch {
	case bytes.Contains(head, []byte("PRIVATE KEY")):
		return yes
	case len(head) == maxPEMHead, bytes.Contains(head[len(pemBegin):], []byte("-----")):
		return no
	}
	return unknown
}

// openNumber is where a number may have begun that goes on after the end of body.
func openNumber(body []byte) int {
	at := len(body)
	for i := len(body) - 1; i >= 0 && i >= len(body)-maxNumber; i-- {
		c := body[i]
		if !isDigit(c) && (c < 'A' || c > 'Z') && c != ' ' && c != '-' {
			break
		}
		if c != ' ' {
			at = i
		}
	}
	return at
}

// Notes are what was found, by rule, as Found has them.
func (s *Sieve) Notes() []string {
	did := "masked"
	if s.secrets.block != "" {
		did = "blocked"
	}
	out := s.traces.notes("removed")
	for _, rule := range s.secrets.order {
		out = append(out, fmt.Sprintf("%s %s %d", rule, did, s.secrets.counts[rule]))
	}
	return out
}
