package sandbox

import (
	"fmt"
	"testing"
	"time"

	"casemate"
	"casemate/sandbox/jail"
)

func TestEffectsAreBounded(t *testing.T) {
	fx := &effects{}
	for i := range maxEffects + 9 {
		fx.add(casemate.Effect{Target: fmt.Sprint(i)})
	}
	list := fx.take(time.Time{})
	if len(list) != maxEffects+1 || list[maxEffects].Kind != "flood" {
		t.Errorf("%d effects, last %+v", len(list), list[len(list)-1])
	}
	if n := len(fx.take(time.Time{})); n != 0 {
		t.Errorf("%d left", n)
	}
}

// A function that calls services until its list is full could otherwise go where nobody sees.
func TestNothingHidesWhereAFunctionWent(t *testing.T) {
	fx := &effects{}
	for i := range maxEffects + 9 {
		fx.add(casemate.Effect{Kind: casemate.EffectService, Target: fmt.Sprint("lambda:InvokeFunction ", i), Verdict: casemate.Allowed})
	}
	for i := range maxWent + maxEffects {
		fx.add(casemate.Effect{Kind: casemate.EffectConnect, Target: fmt.Sprint("host", i, ".example:443"), Verdict: casemate.Allowed})
	}
	list := fx.take(time.Time{})
	if len(list) != maxEffects+maxWent+1 || list[maxEffects].Target != "host0.example:443" || list[len(list)-1].Count != 9+maxEffects {
		t.Fatalf("%d effects, last %+v", len(list), list[len(list)-1])
	}
	fx.add(casemate.Effect{Kind: casemate.EffectConnect, Verdict: casemate.Allowed})
	if n := len(fx.take(time.Time{})); n != 1 {
		t.Errorf("%d of the next run", n)
	}
}

// A record that is full says that something was refused only when something was.
func TestFloodIsRefusedWhereSomethingInItWas(t *testing.T) {
	for want, last := range map[casemate.Verdict]casemate.Effect{
		casemate.Allowed: {Kind: casemate.EffectOpen, Target: "/last", Verdict: casemate.Allowed},
		casemate.Denied:  {Kind: casemate.EffectExec, Target: "/bin/id", Verdict: casemate.Denied},
	} {
		fx := &effects{}
		for i := range maxLocal + 5 {
			fx.add(casemate.Effect{Kind: casemate.EffectOpen, Target: fmt.Sprint("/usr/share/zoneinfo/", i), Verdict: casemate.Allowed})
		}
		fx.add(last)
		fx.add(casemate.Effect{Kind: casemate.EffectOpen, Target: "/more", Verdict: casemate.Allowed})
		list := fx.take(time.Time{})
		if x := list[len(list)-1]; x.Kind != "flood" || x.Count != 7 || x.Verdict != want {
			t.Errorf("%v: %+v", want, x)
		}
	}
}

func TestCallsAreCountedAndNotRepeated(t *testing.T) {
	fx := &effects{}
	for range 1000 {
		fx.add(called(jail.Call{Name: "ptrace"}, time.Time{}))
	}
	for i := range maxLocal + 5 {
		fx.add(called(jail.Call{Name: "execve", Target: fmt.Sprint("/bin/", i)}, time.Time{}))
	}
	fx.add(casemate.Effect{Kind: casemate.EffectResolve, Target: "example.com"})
	list := fx.take(time.Time{})
	if len(list) != maxLocal+2 || list[0].Target != "ptrace" || list[0].Count != 1000 || list[0].Verdict != casemate.Denied {
		t.Errorf("%d effects, first %+v", len(list), list[0])
	}
	if x := list[1]; x.Kind != casemate.EffectExec || x.Target != "/bin/0" || x.Grant != "children: [/bin/0]" || x.Count != 0 {
		t.Errorf("%+v", x)
	}
	if x := list[len(list)-1]; x.Kind != "flood" || x.Count != 6 || x.Verdict != casemate.Denied || list[len(list)-2].Target != "example.com" {
		t.Errorf("the flood hid another kind of effect: %+v", list[len(list)-3:])
	}
	for _, c := range []struct {
		call jail.Call
		want string
	}{{jail.Call{Name: "mount", Target: "/proc"}, "call mount /proc deny"}, {jail.Call{Name: "execve", Target: "/usr/bin/x", Allowed: true}, "exec /usr/bin/x allow"}} {
		if x := called(c.call, time.Time{}); x.Kind+" "+x.Target+" "+x.Verdict.String() != c.want {
			t.Errorf("%+v", x)
		}
	}
}
