package analysis

import (
	"slices"

	"casemate"
	"casemate/policy"
)

// The answers of Can. If means: for some values of the keys named, or for others not.
const (
	Yes = "yes"
	If  = "if"
	No  = "no"
)

// Right is whether somebody can do something, and by what.
type Right struct {
	Who       string   `json:"who"`
	Role      string   `json:"role,omitempty"`
	Action    string   `json:"action"`
	Resource  string   `json:"resource"`
	Can       string   `json:"can"` // yes, if, no
	Statement string   `json:"statement,omitempty"`
	Origin    string   `json:"origin,omitempty"`
	Layer     string   `json:"layer,omitempty"`
	Keys      []string `json:"keys,omitempty"`   // that it depends on
	Reason    string   `json:"reason,omitempty"` // of a no
}

// Can says whether p can do action on resource whatever a request brings along, for some of it, or never. p needs no more
// than who it is: values of claims, tags and context are what the answer leaves open.
func Can(s *policy.Set, r *casemate.AccessRequest) Right {
	x := s.Explain(r)
	out := Right{Who: r.Principal.Name(), Role: r.Principal.Role, Action: r.Action, Resource: r.Resource, Can: No}
	maybe := func(st *policy.Step) bool {
		if st.Effect == casemate.Deny {
			return st.Applies && len(st.Keys) == 0
		}
		return st.Applies || st.Could
	}
	surely := func(st *policy.Step) bool {
		if st.Effect == casemate.Deny {
			return st.Applies || st.Could
		}
		return st.Applies && len(st.Keys) == 0
	}
	layer, best := Verdict(&x, r, maybe)
	if best != casemate.Allowed {
		out.Layer, out.Reason, out.Statement, out.Origin = layer, x.Decision.Reason, x.Decision.Statement, x.Decision.Origin
		return out
	}
	out.Can, out.Layer = If, layer
	if _, worst := Verdict(&x, r, surely); worst == casemate.Allowed {
		out.Can = Yes
	}
	for i := range x.Steps {
		st := &x.Steps[i]
		if !st.Applies && !st.Could {
			continue
		}
		if out.Can == If {
			out.Keys = append(out.Keys, st.Keys...)
		}
		first := st.Effect == casemate.Allow && st.Layer == layer && out.Statement == ""
		if first && (out.Can == If || len(st.Keys) == 0) {
			out.Statement, out.Origin = st.Statement, st.Origin
		}
	}
	slices.Sort(out.Keys)
	out.Keys = slices.Compact(out.Keys)
	return out
}
