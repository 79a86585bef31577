package analysis

import (
	"slices"
	"strings"

	"casemate"
	"casemate/policy"
)

// Question is one thing that a policy was asked, read back from a record.
type Question struct {
	Request casemate.AccessRequest
	Was     casemate.Decision // as it was decided then
	Record  *casemate.Record
	Effect  bool // it was asked for an effect of a run, not for the event itself

	facts map[string]bool // keys whose values the record holds
	role  string
}

// Questions are all that a record's event asked the policy, of those that leave a trace: the event's own action, the object
// of its route, and the hosts that its run connected to or was refused. A record of an event that ended before the policy was
// asked has none. account is the node's.
func Questions(r *casemate.Record, account string) []Question {
	var list []Question
	asked := r.Decision.Layer != "" || r.Decision.Statement != "" || r.Decision.Reason != ""
	if asked && r.Action != "" && r.Resource != "" {
		q := ask(r, account)
		// Where an object was asked about, a refusal is the object's; the route itself was allowed.
		object := r.Object != ""
		if object && r.Decision.Verdict != casemate.Allowed {
			q.Was = casemate.Decision{Verdict: casemate.Allowed, Layer: policy.LayerIdentity}
		}
		list = append(list, q)
		if object {
			o := q
			o.Was, o.Request.Action, o.Request.Resource = r.Decision, r.ObjectAction, r.Object
			list = append(list, o)
		}
	}
	return append(list, connects(r, account)...)
}

// ask rebuilds the request of an event.
func ask(r *casemate.Record, account string) Question {
	q := Question{Record: r, Was: r.Decision, facts: map[string]bool{}, role: r.Role}
	p := &casemate.Principal{ID: r.Principal, Role: r.Role, Account: account, Kind: kindOf(r.Principal), Claims: map[string]string{}, Tags: map[string]string{}}
	q.Request = casemate.AccessRequest{Principal: p, Action: r.Action, Resource: r.Resource, Account: account, Now: r.Opened,
		Context: map[string][]string{}, Params: map[string]string{}}
	if p.Kind == casemate.Nobody {
		p.ID, p.Account = "", ""
	}
	for _, f := range r.Facts {
		q.facts[f.Key] = true
		Put(&q.Request, f)
	}
	return q
}

// Put gives a request the values of a condition key, wherever the Decider looks for them. r has a principal and maps.
func Put(r *casemate.AccessRequest, f casemate.Fact) {
	p, one := r.Principal, ""
	if len(f.Values) > 0 {
		one = f.Values[0]
	}
	kind, name, _ := strings.Cut(f.Key, ":")
	lower := strings.ToLower(f.Key)
	switch {
	case kind == "jwt" && len(f.Values) > 0:
		p.Claims[name] = one
	case kind == "path" && len(f.Values) > 0:
		r.Params[name] = one
	case strings.HasPrefix(lower, "aws:principaltag/"):
		if len(f.Values) > 0 {
			p.Tags[lower[len("aws:principaltag/"):]] = one
		}
	case lower == "aws:principalarn":
		p.ARN = one
	case lower == policy.FactAccount:
		p.Account = one
	case lower == "casemate:principalkind":
		p.Kind = casemate.PrincipalKind(one)
	case lower == "casemate:scopes":
		p.Scopes = f.Values
	case lower == "aws:username", lower == policy.FactScope, kind == "jwt", kind == "path":
	default:
		r.Context[strings.ToLower(f.Key)] = f.Values
	}
}

// kindOf reads the kind of a principal from its name, for statements do not depend on it unless they say so, and then it is
// a fact.
func kindOf(name string) casemate.PrincipalKind {
	prefix, _, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		return casemate.Nobody
	case prefix == "jwt":
		return casemate.KindToken
	case prefix == "uid":
		return casemate.KindPeer
	case prefix == "function":
		return casemate.KindRun
	}
	return casemate.PrincipalKind(prefix)
}

// connects are the questions of a run's connections to hosts, each host once. They are asked for the function's role.
func connects(r *casemate.Record, account string) (list []Question) {
	if r.Function == "" {
		return nil
	}
	region := "us-east-1"
	if parts := strings.SplitN(r.Resource, ":", 6); len(parts) == 6 && parts[3] != "" {
		region = parts[3]
	}
	place := casemate.Place{Region: region, Account: account}
	seen := map[string]bool{}
	for i := range r.Effects {
		e := &r.Effects[i]
		if e.Kind != casemate.EffectConnect || !strings.Contains(e.Target, ":") || seen[e.Target] {
			continue
		}
		seen[e.Target] = true
		role := "function/" + r.Function
		p := &casemate.Principal{Kind: casemate.KindRun, ID: role, ARN: place.RoleARN(role), Account: account, Role: role}
		list = append(list, Question{Effect: true, Record: r, role: role, facts: map[string]bool{"aws:principalarn": true, "casemate:principalkind": true},
			Was:     casemate.Decision{Verdict: e.Verdict, Layer: policy.LayerIdentity, Reason: e.Reason},
			Request: casemate.AccessRequest{Principal: p, Action: "casemate:Connect", Resource: place.PlatformARN("host", e.Target), Account: account, Now: e.At}})
	}
	return list
}

// Answer is what a policy would decide on a question. Known is false when the record does not hold what it depends on;
// Missing then names the keys.
type Answer struct {
	Decision casemate.Decision
	Known    bool
	Missing  []string
}

// Ask has s decide on q.
func (q *Question) Ask(s *policy.Set) Answer {
	a := Answer{Decision: s.Decide(&q.Request), Known: true}
	for _, f := range s.Facts(&q.Request) {
		if !q.facts[f.Key] && f.Key != policy.FactAccount {
			a.Missing = append(a.Missing, f.Key)
		}
	}
	if a.Missing != nil {
		least, most := s.Explain(&q.Request), casemate.Verdict(0)
		_, most = Verdict(&least, &q.Request, func(x *policy.Step) bool {
			return q.unsure(x) == (x.Effect == casemate.Allow) && (x.Applies || x.Could) || !q.unsure(x) && x.Applies
		})
		_, low := Verdict(&least, &q.Request, func(x *policy.Step) bool {
			return q.unsure(x) == (x.Effect == casemate.Deny) && (x.Applies || x.Could) || !q.unsure(x) && x.Applies
		})
		a.Known = most == low
		if a.Known && a.Decision.Verdict != most {
			a.Decision.Verdict = most
		}
	}
	return q.standing(a)
}

// unsure reports a step that depends on a key whose value was not recorded.
func (q *Question) unsure(x *policy.Step) bool {
	return slices.ContainsFunc(x.Keys, func(k string) bool { return !q.facts[k] })
}

// standing puts in what a changed policy does not change: an exception that opened the route, a service that asks for no
// permission, and the scope of the credential.
func (q *Question) standing(a Answer) Answer {
	exempt := q.Was.Layer == "exception" || q.Was.Statement == "open"
	if exempt && a.Decision.Layer == policy.LayerDefault {
		a.Decision = q.Was
		return a
	}
	if !q.facts[policy.FactScope] || a.Decision.Verdict != casemate.Allowed || q.Was.Verdict == casemate.Allowed {
		return a
	}
	switch q.Was.Layer {
	case policy.LayerSession:
		a.Decision = q.Was // the scope refuses today as it did then
	case policy.LayerDefault, policy.LayerResource:
		// it came past its scope then
	default:
		a.Known, a.Missing = false, append(a.Missing, policy.FactScope)
	}
	return a
}
