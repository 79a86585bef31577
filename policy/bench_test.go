package policy_test

import (
	"fmt"
	"testing"
	"time"

	"casemate"
	"casemate/policy"
)

// crowd makes n roles with one statement each, or, piled, one role with n statements.
func crowd(n int, piled bool) casemate.Policies {
	p := casemate.Policies{Identity: map[string][]casemate.Statement{}}
	for i := range n {
		role := "clerk"
		if !piled {
			role = fmt.Sprint("role", i)
		}
		s := when(allow("execute-api:Invoke", fmt.Sprintf("arn:aws:execute-api:us-east-1:%s:app%d/$default/POST/orders/*", home, i)),
			"StringEquals", "aws:PrincipalTag/team", "blue")
		p.Identity[role] = append(p.Identity[role], s)
	}
	return p
}

// BenchmarkDecide prints what a decision costs at 100 and at 10,000 policies, and their ratio.
func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name  string
		piled bool
	}{{"roles", false}, {"one-role", true}} {
		took := map[int]time.Duration{}
		for _, n := range []int{100, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				set, err := policy.Compile(crowd(n, c.piled))
				if err != nil {
					b.Fatal(err)
				}
				requests := make([]*casemate.AccessRequest, 256)
				for i := range requests {
					p := clerk()
					k := i * n / len(requests)
					if !c.piled {
						p.Role = fmt.Sprint("role", k)
					}
					requests[i] = ask(p, "execute-api:Invoke", fmt.Sprintf("arn:aws:execute-api:us-east-1:%s:app%d/$default/POST/orders/7", home, k))
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					if d := set.Decide(requests[i%len(requests)]); d.Verdict != casemate.Allowed {
						b.Fatal(d.Reason)
					}
				}
				took[n] = b.Elapsed() / time.Duration(b.N)
				if took[100] > 0 && n > 100 {
					b.ReportMetric(float64(took[n])/float64(took[100]), "x-of-100")
				}
			})
		}
	}
}

// BenchmarkRefuse is the price of a refusal with its reason and hint.
func BenchmarkRefuse(b *testing.B) {
	set, err := policy.Compile(crowd(1000, false))
	if err != nil {
		b.Fatal(err)
	}
	p := clerk()
	p.Role = "role7"
	r := ask(p, "execute-api:Invoke", "arn:aws:execute-api:us-east-1:"+home+":app8/$default/POST/orders/7")
	b.ReportAllocs()
	for range b.N {
		if d := set.Decide(r); d.Verdict == casemate.Allowed {
			b.Fatal("allowed")
		}
	}
}

// BenchmarkScope is a decision for a key with a scope of three grants, which is compiled each time.
func BenchmarkScope(b *testing.B) {
	set, err := policy.Compile(crowd(100, false))
	if err != nil {
		b.Fatal(err)
	}
	p := clerk()
	p.Role = "role7"
	p.Scope = list(allow("execute-api:Invoke", "arn:aws:execute-api:us-east-1:"+home+":app7/*"), allow("lambda:*", "*"), allow("sqs:SendMessage", "*"))
	r := ask(p, "execute-api:Invoke", "arn:aws:execute-api:us-east-1:"+home+":app7/$default/POST/orders/7")
	b.ReportAllocs()
	for range b.N {
		if d := set.Decide(r); d.Verdict != casemate.Allowed {
			b.Fatal(d.Reason)
		}
	}
}

// What a decision depended on costs nothing to tell where no policy has a condition.
func TestFactsOfPlainPoliciesCostNothing(t *testing.T) {
	s, err := policy.Grant(casemate.DefaultPlace, "orders", "call GET /orders/{id}", "here")
	if err != nil {
		t.Fatal(err)
	}
	set := mustCompile(t, roles("clerk", s))
	r := ask(clerk(), "execute-api:Invoke", casemate.DefaultPlace.RouteARN("orders", "GET", "/orders/7"))
	if n := testing.AllocsPerRun(100, func() {
		if set.Facts(r) != nil {
			t.Error("facts of a grant without a condition")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
