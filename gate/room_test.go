package gate

import (
	"net/netip"
	"strings"
	"testing"

	"casemate"
)

// asked takes event e of p through the corridor and gives what it asked of the quota room: as a source, and as a caller.
func asked(t *testing.T, e *casemate.Event, p *casemate.Principal, plan func(*casemate.Principal) (*casemate.Plan, error)) (source, caller casemate.Demand, err error) {
	t.Helper()
	r := newRig()
	r.who = func(casemate.Credential) (*casemate.Principal, error) { return p, nil }
	r.reserve = func(d casemate.Demand) error {
		if d.Source != "" {
			source = d
		} else {
			caller = d
		}
		return nil
	}
	g := r.gate(t, nil)
	g.c.Plan = plan
	_, err = g.Handle(t.Context(), e)
	return source, caller, err
}

// TestPlanOfWhoIsKnown: a plan bounds its holder; one that is named and not there refuses.
func TestPlanOfWhoIsKnown(t *testing.T) {
	p := &casemate.Principal{Kind: casemate.KindKey, ID: "key/a", Role: "clerk", Account: "1", Plan: "basic"}
	basic := &casemate.Plan{Name: "basic", App: "other"}
	e := event()
	e.SourceIP = "192.0.2.7"
	source, d, err := asked(t, e, p, func(*casemate.Principal) (*casemate.Plan, error) { return basic, nil })
	if err != nil || d.Plan != basic || d.RouteID != "" || d.Principal != "key/a" || d.Known.Source != "192.0.2.7" {
		t.Errorf("%+v, %v", d, err)
	}
	if source.Block != netip.MustParsePrefix("192.0.2.0/24") {
		t.Errorf("counted with %v", source.Block)
	}
	no := casemate.Errorf(casemate.Exhausted, "", "no such plan")
	if _, d, err = asked(t, event(), p, func(*casemate.Principal) (*casemate.Plan, error) { return nil, no }); casemate.CodeOf(err) != casemate.Exhausted || d.Principal != "" {
		t.Errorf("a plan that is not there lets in: %v", err)
	}
}

// TestForwardedForIsNobodysAddress: who says that it is somebody else is counted as itself.
func TestForwardedForIsNobodysAddress(t *testing.T) {
	p := &casemate.Principal{Kind: casemate.KindKey, ID: "key/a", Role: "clerk", Account: "1"}
	e := event()
	e.SourceIP = "2001:db8:1:2::5"
	e.Header = func(name string) []string {
		if n := strings.ToLower(name); n == "x-forwarded-for" || n == "forwarded" || n == "x-real-ip" {
			return []string{"203.0.113.9"}
		}
		return nil
	}
	source, d, err := asked(t, e, p, nil)
	if err != nil || source.Source != "2001:db8:1:2::/64" || source.Block != netip.MustParsePrefix("2001:db8:1::/48") || d.Known.Block != source.Block {
		t.Errorf("%+v %+v, %v", source, d.Known, err)
	}
}

// TestPreflightsAreOneRecord: so many questions are one record, which is nobody's run; what a page may not send says why.
func TestPreflightsAreOneRecord(t *testing.T) {
	for rule, status := range map[string]string{"": "preflight", "cors/origin": "refused"} {
		r := newRig()
		g := r.gate(t, nil)
		g.Preflight(t.Context(), casemate.Preflight{Source: "192.0.2.7", App: "shop", Route: "GET /a", Rule: rule, Times: 7})
		if len(r.closed) != 1 {
			t.Fatalf("%d records", len(r.closed))
		}
		rec := &r.closed[0]
		if rec.Times != 7 || rec.Outcome.Status != status || rec.Outcome.OK != (rule == "") || rec.Route != "GET /a" || rec.App != "shop" || rec.SourceIP != "192.0.2.7" || rec.Function != "" {
			t.Errorf("%q: %+v", rule, rec)
		}
	}
}

// TestRefusedUnreadIsRecorded: what a front did not read is one closed record of so many refusals.
func TestRefusedUnreadIsRecorded(t *testing.T) {
	r := newRig()
	r.gate(t, nil).Refused(t.Context(), casemate.Turned{Source: "192.0.2.7", Rule: "rate of plan basic", Principal: "key/a", Times: 9000})
	if len(r.closed) != 1 {
		t.Fatalf("%d records", len(r.closed))
	}
	rec := &r.closed[0]
	if rec.Times != 9000 || rec.Principal != "key/a" || rec.SourceIP != "192.0.2.7" || rec.Outcome.OK || rec.Outcome.Code != casemate.Exhausted ||
		rec.Outcome.Status != "refused" || !strings.Contains(rec.Outcome.Detail, "9000 requests refused unread: the rate of plan basic") {
		t.Errorf("%+v", rec)
	}
}
