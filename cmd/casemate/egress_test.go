package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/audit"
)

func effectsOf(function string, effects ...casemate.Effect) audit.Entry {
	return audit.Entry{Record: casemate.Record{Function: function, Effects: effects}}
}

func TestReachesAreSummed(t *testing.T) {
	at := time.Unix(100, 0)
	rs := reaches([]audit.Entry{
		effectsOf("b", casemate.Effect{Kind: casemate.EffectConnect, Target: "a.example:443", Verdict: casemate.Allowed, Count: 2, In: 10, Out: 5, At: at}),
		effectsOf("a", casemate.Effect{Kind: casemate.EffectConnect, Target: "a.example:443", Verdict: casemate.Allowed, Count: 1, In: 1, Out: 1, At: at},
			casemate.Effect{Kind: casemate.EffectExec, Target: "/bin/sh"}, casemate.Effect{Kind: casemate.EffectResolve, Target: "evil.example", Reason: "no", Grant: "connect evil.example:443"}),
		effectsOf("b", casemate.Effect{Kind: casemate.EffectConnect, Target: "a.example:443", Verdict: casemate.Allowed, Count: 1, At: at.Add(time.Second)}, casemate.Effect{Kind: casemate.EffectConnect, Target: "a.example:443", Reason: "host"}),
	})
	want := []reach{{Function: "a", Host: "a.example:443", Connections: 1, In: 1, Out: 1, Last: at}, {Function: "a", Host: "evil.example", Refused: 1, Grant: "connect evil.example:443", Reason: "no"},
		{Function: "b", Host: "a.example:443", Connections: 3, In: 10, Out: 5, Refused: 1, Reason: "host", Last: at.Add(time.Second)}}
	if !slices.Equal(rs, want) {
		t.Errorf("%+v", rs)
	}
}

func TestLessonsAreTheFewest(t *testing.T) {
	refused := func(host, grant string) reach {
		return reach{Function: "f", Host: host, Refused: 1, Grant: grant, Reason: "no"}
	}
	ls := lessons([]reach{
		refused("a.example", "connect a.example:443"), refused("a.example:8443", "connect a.example:8443"), // asked before it was granted, dialled after
		refused("b.example", "connect b.example:443"), refused("c.example:443", ""), refused("10.0.0.1:443", "connect 10.0.0.1/32:443"),
		{Function: "g", Host: "x.example:443", Connections: 1}, {Function: "", Host: "y.example", Refused: 1, Grant: "connect y.example:443"}})
	if len(ls) != 1 || !slices.Equal(ls[0].Grants, []string{"connect a.example:8443", "connect b.example:443"}) || !slices.Equal(ls[0].Assumed, []string{"connect b.example:443"}) || len(ls[0].Refused) != 2 {
		t.Fatalf("%+v", ls)
	}
	var page strings.Builder
	lessonPage(&page, ls)
	for _, line := range []string{"functions:\n  f:\n    grants:\n      - connect a.example:8443\n      - connect b.example:443 # ", "\n      # not proposed: 10.0.0.1:443: no; an address is yours to judge\n"} {
		if !strings.Contains(page.String(), line) {
			t.Errorf("%q is not in %q", line, page.String())
		}
	}
}

// What is no host is refused as well: it is learnt from, until it was allowed.
func TestLessonsOfWhatIsInside(t *testing.T) {
	const shop, bank = "secretsmanager:GetSecretValue arn:aws:secretsmanager:us-east-1:000000000000:secret:shop/stripe-PyDGSR", "secretsmanager:GetSecretValue arn:aws:secretsmanager:us-east-1:000000000000:secret:bank-PyDGSR"
	service := func(target string, v casemate.Verdict) casemate.Effect {
		return casemate.Effect{Kind: casemate.EffectService, Target: target, Verdict: v, Reason: "Forbidden: f may not"}
	}
	list := []audit.Entry{effectsOf("f", service(shop, casemate.Denied), service("lambda:InvokeFunction arn:aws:lambda:us-east-1:000000000000:function:price", casemate.Denied),
		service(bank, casemate.Denied), service("sqs:SendMessage", casemate.Denied), casemate.Effect{Kind: casemate.EffectExec, Target: "/bin/sh", Reason: "no"}),
		effectsOf("f", service(shop, casemate.Denied), service(bank, casemate.Allowed)), effectsOf("g", service(bank, casemate.Denied)), effectsOf("g", service(bank, casemate.Allowed))}
	ls := lessons(inside(list))
	if len(ls) != 1 || !slices.Equal(ls[0].Grants, []string{"invoke price", "read secret/shop/stripe"}) || !slices.Equal(ls[0].Refused, []string{"sqs:SendMessage: Forbidden", "execute /bin/sh: no"}) {
		t.Errorf("%+v", ls)
	}
	var page strings.Builder
	lessonPage(&page, lessons(inside(list[:1])[4:]))
	if want := "functions:\n  f:\n      # not proposed: execute /bin/sh: no\n"; page.String() != want {
		t.Errorf("%q", page.String())
	}
}

func TestParseResolve(t *testing.T) {
	got, err := parseResolve([]string{"a.example:443=127.0.0.1:8443", "b.example:80=[::1]:80"})
	if err != nil || len(got) != 2 || got["a.example:443"].String() != "127.0.0.1:8443" {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "a.example=127.0.0.1:1", "a.example:443", "a.example:443=localhost:1", "A.example:443=127.0.0.1:1", "a.example:443=127.0.0.1"} {
		if _, err := parseResolve([]string{text}); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}
