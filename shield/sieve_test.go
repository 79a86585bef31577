package shield

import (
	"strings"
	"testing"

	"casemate"
)

// TestWhatComesWhole: what a sieve cannot look into piece by piece does not leave while it is made.
func TestWhatComesWhole(t *testing.T) {
	v := &casemate.Version{}
	line := func(name, value string) []casemate.HeaderLine {
		return []casemate.HeaderLine{{Name: name, Value: value}}
	}
	off := casemate.Leaks{Secrets: "off", Traces: "off"}
	for name, c := range map[string]struct {
		route  *casemate.Route
		source casemate.Source
		head   casemate.Answer
		bound  bool // by a contract
		whole  bool
	}{
		"text":                          {&casemate.Route{}, "", casemate.Answer{Status: 200}, false, false},
		"an error":                      {&casemate.Route{}, "", casemate.Answer{Status: 500}, false, true},
		"not found":                     {&casemate.Route{}, "", casemate.Answer{Status: 404}, false, true},
		"an error that nobody looks at": {&casemate.Route{Leaks: off}, "", casemate.Answer{Status: 500}, false, false},
		"encoded":                       {&casemate.Route{}, "", casemate.Answer{Status: 200, Header: line("content-encoding", "gzip")}, false, true},
		"encoded, and nobody looks":     {&casemate.Route{Leaks: off}, "", casemate.Answer{Status: 200, Header: line("content-encoding", "gzip")}, false, false},
		"a contract":                    {&casemate.Route{}, "", casemate.Answer{Status: 200}, true, true},
		"a contract that tags":          {&casemate.Route{Answers: "tag"}, "", casemate.Answer{Status: 200}, true, true},
		"a contract of requests alone":  {&casemate.Route{Answers: "off"}, "", casemate.Answer{Status: 200}, true, false},
		"numbers in text":               {&casemate.Route{Leaks: casemate.Leaks{Personal: "mask"}}, "", casemate.Answer{Status: 200, Header: line("content-type", "text/plain")}, false, false},
		"numbers in JSON":               {&casemate.Route{Leaks: casemate.Leaks{Personal: "mask"}}, "", casemate.Answer{Status: 200, Header: line("content-type", "application/json")}, false, true},
		"by name":                       {nil, casemate.SourceAWS, casemate.Answer{Status: 200}, false, false},
		"by name, for an operator":      {nil, casemate.SourceAdmin, casemate.Answer{Status: 200}, false, false},
	} {
		m := &casemate.Match{Version: v, Route: c.route}
		if c.bound {
			m.Contract = promise{}
		}
		s, err := NewSieve(m, &casemate.Event{Source: c.source}, &c.head)
		if err != nil || (s == nil) != c.whole {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

type promise struct{ casemate.Contract }

// TestSecretsInStreams: in the head, and in the body by which way ever it is asked for.
func TestSecretsInStreams(t *testing.T) {
	key := "ck_" + strings.Repeat("a1b2c3d4", 6)
	route := &casemate.Match{Version: &casemate.Version{}, Route: &casemate.Route{}}
	head := &casemate.Answer{Status: 200, Header: []casemate.HeaderLine{{Name: "x-a", Value: "t: " + key}}}
	if _, err := NewSieve(route, &casemate.Event{}, head); casemate.AsError(err).Rule != "leak/casemate-key" {
		t.Errorf("a key in a header: %v", err)
	}
	token := "ghp_" + strings.Repeat("a1b2c3", 6)
	head = &casemate.Answer{Status: 200, Header: []casemate.HeaderLine{{Name: "x-a", Value: "t: " + token}}}
	s, err := NewSieve(route, &casemate.Event{}, head)
	if err != nil || head.Header[0].Value != "t: [removed]" || len(s.Notes()) != 1 {
		t.Errorf("%v, %v", head.Header, err)
	}
	for source, blocked := range map[casemate.Source]bool{casemate.SourceAWS: true, casemate.SourceRun: true, casemate.SourceAdmin: false} {
		s, err := NewSieve(&casemate.Match{Version: &casemate.Version{}}, &casemate.Event{Source: source}, &casemate.Answer{Status: 200})
		if err != nil {
			t.Fatal(err)
		}
		first, _ := s.Pass([]byte("it is " + key[:9]))
		_, err = s.Pass([]byte(key[9:] + "\n"))
		if (err != nil) != blocked || blocked && (string(first) != "it is " || len(s.Notes()) != 1 || strings.Contains(err.Error()+s.Notes()[0], key[3:])) {
			t.Errorf("%s: %q, %v, %v", source, first, err, s.Notes())
		}
	}
}
