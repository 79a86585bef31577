package shield

import (
	"casemate"
	"casemate/shield/leak"
)

// Sieve looks at the body of one answer while it leaves.
type Sieve struct {
	s    *leak.Sieve
	head []string // notes about the head
}

// NewSieve looks at the head of an answer that is to leave while it is made, takes out of it what must not leave, and gives
// what looks at its body. nil has the answer come whole, for Leave: an error, whose traces are taken out of all of it; an
// encoded one, which nobody can look into piece by piece; one that a contract describes.
func NewSieve(m *casemate.Match, e *casemate.Event, head *casemate.Answer) (*Sieve, error) {
	rules, byName := leakRules(casemate.Leaks{}), m.Route == nil
	switch {
	case !byName:
		rules = leakRules(m.Route.Leaks)
		if m.Route.Answers != "off" && promises(m.Contract) {
			return nil, nil
		}
	case e.Source == casemate.SourceRun || e.Source == casemate.SourceAWS:
		_, leaks := m.Version.ByName()
		rules = leakRules(leaks)
	default: // operators are given what there is
		rules = leak.Rules{Secrets: leak.Off, Traces: leak.Off}
	}
	media := head.Get("content-type")
	personal := rules.Personal == leak.Mask || rules.Personal == leak.Block
	if looked := rules.Secrets != leak.Off || rules.Traces != leak.Off || personal; looked &&
		(head.Status >= 400 || head.Get("content-encoding") != "" || personal && (byName || isJSON(media))) {
		return nil, nil
	}
	s := &Sieve{s: leak.NewSieve(media, rules)}
	seen := &casemate.Result{}
	for i := range head.Header {
		value, found := leak.Value(head.Header[i].Value, rules)
		if err := noted(seen, head.Header[i].Name, found); err != nil {
			return nil, err
		}
		head.Header[i].Value = value
	}
	s.head = seen.Notes
	return s, nil
}

// promises reports whether a contract says anything about answers; one that does not have them held to it.
func promises(c casemate.Contract) bool {
	if c == nil {
		return false
	}
	p, ok := c.(interface{ Promises() bool })
	return !ok || p.Promises()
}

// Pass implements the gate's Sieve.
func (s *Sieve) Pass(p []byte) ([]byte, error) {
	out, blocked := s.s.Pass(p)
	return out, kept(blocked)
}

// End implements the gate's Sieve.
func (s *Sieve) End() ([]byte, error) {
	out, blocked := s.s.End()
	return out, kept(blocked)
}

func kept(blocked string) error {
	if blocked == "" {
		return nil
	}
	return noted(&casemate.Result{}, "body", leak.Found{Blocked: blocked})
}

// Notes are what was found, by rule and place.
func (s *Sieve) Notes() []string {
	out := s.head
	for _, n := range s.s.Notes() {
		out = append(out, "answer: body: "+n)
	}
	return out
}
