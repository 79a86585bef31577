package template

import (
	"slices"
	"strconv"
	"strings"
)

// maxChain bounds conditions that name conditions.
const maxChain = 100

// decision is one condition: whether it was decided, and how.
type decision struct {
	Value
	state int // 0 not yet, 1 at it, 2 decided
	holds bool
}

// isTest reports whether a function gives a yes or no.
func isTest(name string) bool {
	return slices.Contains(strings.Fields("Fn::And Fn::Equals Fn::Not Fn::Or Fn::Contains Fn::EachMemberEquals Fn::EachMemberIn "+
		"Fn::RefAll Fn::ValueOf Fn::ValueOfAll Condition"), name)
}

// decideAll decides every condition, used or not, so that an error in one is never met later.
func (r *resolver) decideAll() {
	for _, m := range r.t.conditions.Members {
		r.decisions[m.Key] = &decision{Value: m.Value}
	}
	for _, m := range r.t.conditions.Members {
		r.path = append(r.path[:0], "Conditions")
		r.decide(m.Key, m.KeyAt)
	}
	r.path = r.path[:0]
}

// decide gives whether a condition holds. Its name was checked before; what it cannot decide is a problem.
func (r *resolver) decide(name string, at Position) bool {
	d := r.decisions[name]
	switch {
	case d == nil || d.state == 2:
		return d != nil && d.holds
	case d.state == 1:
		r.problem(at, "", "the condition %s depends on itself", name)
		return false
	case len(r.path) > 4*maxChain:
		r.problem(at, "", "conditions name each other deeper than %d", maxChain)
		return false
	}
	d.state = 1
	deciding := r.deciding
	r.deciding = true
	r.down(name)
	d.holds = r.test(d.Value)
	r.up(1)
	r.deciding = deciding
	d.state = 2
	return d.holds
}

// test evaluates a condition function. Every part of it is evaluated, whatever the others say.
func (r *resolver) test(v Value) bool {
	if r.steps++; r.steps > maxSteps {
		r.problem(v.At, "make the template smaller", "deciding the conditions takes more than %d steps", maxSteps)
		return false
	}
	if v.Kind != Map || len(v.Members) != 1 || !isTest(v.Members[0].Key) {
		r.problem(v.At, "use Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition", "this is no condition")
		return false
	}
	name, arg := v.Members[0].Key, v.Members[0].Value
	r.down(name)
	defer r.up(1)
	switch name {
	case "Condition":
		if arg.Kind != String {
			r.problem(arg.At, "", "the name of a condition is wanted here, this is %s", arg.Kind)
			return false
		}
		return r.decide(arg.Text, arg.At)
	case "Fn::Equals":
		return r.equals(arg)
	case "Fn::Not":
		holds, ok := r.tests(arg, 1, 1)
		return ok && !holds[0]
	case "Fn::And":
		holds, ok := r.tests(arg, 2, 10)
		return ok && !slices.Contains(holds, false)
	case "Fn::Or":
		holds, ok := r.tests(arg, 2, 10)
		return ok && slices.Contains(holds, true)
	}
	return r.member(name, arg)
}

func (r *resolver) tests(arg Value, low, high int) ([]bool, bool) {
	args, ok := r.args(arg, low, high)
	out := make([]bool, len(args))
	for i, x := range args {
		r.down(strconv.Itoa(i))
		out[i] = r.test(x)
		r.up(1)
	}
	return out, ok
}

// equals compares two values as texts, as CloudFormation does: 1 equals "1".
func (r *resolver) equals(arg Value) bool {
	args, ok := r.args(arg, 2, 2)
	if !ok {
		return false
	}
	a, b := r.known(r.scalar(args[0])), r.known(r.scalar(args[1]))
	return a.Unknown == "" && b.Unknown == "" && a.Text == b.Text
}

// known refuses what only deployment gives: nothing can be decided by it.
func (r *resolver) known(v Value) Value {
	if v.Unknown != "" && v.Unknown != invalid {
		return r.fail(v.At, "give it a value", "this cannot be decided: %s is not known", v.Unknown)
	}
	return v
}

// member evaluates the functions that only rules have.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-rules.html
func (r *resolver) member(name string, arg Value) bool {
	if !r.ruling {
		r.problem(arg.At, "", "%s stands only in rules", name)
		return false
	}
	args, ok := r.args(arg, 2, 2)
	if !ok || !slices.Contains([]string{"Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn"}, name) {
		r.problem(arg.At, "", "%s cannot be evaluated here", name)
		return false
	}
	list, want := r.known(r.scalars(args[0])), Value{}
	if name == "Fn::EachMemberIn" {
		want = r.known(r.scalars(args[1]))
	} else {
		want = r.known(r.scalar(args[1]))
		want.List = []Value{want}
	}
	if list.Unknown != "" || want.Unknown != "" {
		return false
	}
	in := func(v Value) bool {
		return slices.ContainsFunc(want.List, func(w Value) bool { return w.Text == v.Text })
	}
	if r.steps += len(list.List) * len(want.List); r.steps > maxSteps {
		r.problem(arg.At, "make the lists smaller", "comparing takes more than %d steps", maxSteps)
		return false
	}
	if name == "Fn::Contains" {
		return slices.ContainsFunc(list.List, in)
	}
	return !slices.ContainsFunc(list.List, func(v Value) bool { return !in(v) })
}

// rules evaluates the assertions on parameters. One that does not hold refuses the template.
func (r *resolver) rules() {
	r.deciding, r.ruling = true, true
	for _, m := range r.t.rules.Members {
		r.path = append(r.path[:0], "Rules", m.Key)
		for _, x := range m.Value.Members {
			if x.Key != "RuleCondition" && x.Key != "Assertions" {
				r.problem(x.KeyAt, "", "%s is no key of a rule", x.Key)
			}
		}
		if name := r.unread(m.Value); name != "" {
			r.warnings.Add(m.KeyAt, strings.Join(r.path, "/"), "", "it is not checked: there is no parameter store that has %s", name)
			continue
		}
		if when, ok := m.Value.Get("RuleCondition"); ok && !r.test(when) {
			continue
		}
		list, ok := m.Value.Get("Assertions")
		if !ok || list.Kind != List {
			r.problem(m.KeyAt, "", "a rule has a list of Assertions")
		}
		for _, a := range list.List {
			r.assertion(m.Key, a)
		}
	}
	r.deciding, r.ruling, r.path = false, false, r.path[:0]
}

// unread is a parameter of a rule whose value is in a parameter store that is not there; nothing else refers to it.
func (r *resolver) unread(rule Value) string {
	for _, name := range sortedKeys(r.params) {
		if v := r.params[name]; strings.HasPrefix(v.Unknown, "the stored parameter ") && rule.names(name) {
			return name
		}
	}
	return ""
}

func (r *resolver) assertion(rule string, a Value) {
	assert, ok := a.Get("Assert")
	if !ok {
		r.problem(a.At, "", "an assertion has an Assert")
		return
	}
	before := len(r.found)
	if why, _ := a.Get("AssertDescription"); !r.test(assert) && len(r.found) == before {
		r.problem(a.At, why.Text, "the rule %s does not hold", rule)
	}
}
