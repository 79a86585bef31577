package casemate

import (
	"strings"
	"testing"
)

func TestParseTraceparent(t *testing.T) {
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	good := "00-" + id + "-" + span + "-01"
	cases := []struct {
		in      string
		ok, smp bool
	}{
		{good, true, true},
		{"00-" + id + "-" + span + "-00", true, false},
		{"00-" + id + "-" + span + "-fe", true, false},
		{"01-" + id + "-" + span + "-01", true, true},
		{"01-" + id + "-" + span + "-01-future", true, true},
		{"01-" + id + "-" + span + "-01future", false, false},
		{good + "-x", false, false},
		{good + " ", false, false},
		{strings.ToUpper(good), false, false},
		{"ff-" + id + "-" + span + "-01", false, false},
		{"00-" + strings.Repeat("0", 32) + "-" + span + "-01", false, false},
		{"00-" + id + "-" + strings.Repeat("0", 16) + "-01", false, false},
		{"00_" + id + "-" + span + "-01", false, false},
		{good[:54], false, false},
		{"", false, false},
	}
	for _, c := range cases {
		got, ok := ParseTraceparent(c.in)
		if ok != c.ok || got.Sampled != c.smp {
			t.Errorf("ParseTraceparent(%q) = %+v, %v; want ok %v sampled %v", c.in, got, ok, c.ok, c.smp)
		}
		if !ok && got != (Trace{}) {
			t.Errorf("ParseTraceparent(%q) refused but gave %+v", c.in, got)
		}
	}
}

func TestChildKeepsTheTrace(t *testing.T) {
	in, _ := ParseTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	in.State = "a=b"
	c := in.Child()
	if c.TraceID != in.TraceID || c.ParentID != in.SpanID || c.SpanID == in.SpanID || !c.Sampled || c.State != "a=b" {
		t.Fatalf("child %+v of %+v", c, in)
	}
	root := Trace{}.Child()
	if again, ok := ParseTraceparent(root.Traceparent()); !ok || again.TraceID != root.TraceID || root.ParentID != "" {
		t.Fatalf("root %+v", root)
	}
	if (Trace{}).Traceparent() != "" {
		t.Error("the zero trace prints something")
	}
}

func FuzzParseTraceparent(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what")
	f.Fuzz(func(t *testing.T, s string) {
		tr, ok := ParseTraceparent(s)
		if !ok {
			return
		}
		again, ok := ParseTraceparent(tr.Traceparent())
		if !ok || again != tr {
			t.Fatalf("%q gave %+v, which reads back as %+v, %v", s, tr, again, ok)
		}
	})
}
