package condition

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

type quantifier uint8

const (
	single quantifier = iota
	forAll            // ForAllValues: every value of the request; holds when there is none
	forAny            // ForAnyValue: at least one; fails when there is none
)

// Condition is one operator over one key of a Condition element. It is immutable.
type Condition struct {
	operator, name string // as written
	key            key
	set            quantifier
	ifExists       bool
	null           bool // the Null operator; test is then unused
	wantNull       []bool
	negated        bool
	test           test
}

// Fault is what is wrong with an element and where: a path below the statement, "Condition.Bool.aws:SecureTransport".
type Fault struct{ Field, Text string }

// New compiles a Condition element: operator, key, values. The order is fixed, so that reasons do not change from run to
// run. All conditions of a statement must hold.
func New(element map[string]map[string][]string) ([]Condition, *Fault) {
	var cs []Condition
	for _, operator := range slices.Sorted(maps.Keys(element)) {
		keys := element[operator]
		if len(keys) == 0 {
			return nil, &Fault{"Condition." + operator, "has no condition key"}
		}
		for _, name := range slices.Sorted(maps.Keys(keys)) {
			c, err := newCondition(operator, name, keys[name])
			if err != nil {
				return nil, &Fault{"Condition." + operator + "." + name, err.Error()}
			}
			cs = append(cs, c)
		}
	}
	return cs, nil
}

// newCondition takes ForAllValues: or ForAnyValue: and IfExists off the operator.
func newCondition(operator, name string, values []string) (Condition, error) {
	c := Condition{operator: operator, name: name}
	base := operator
	if rest, ok := strings.CutPrefix(base, "ForAllValues:"); ok {
		base, c.set = rest, forAll
	} else if rest, ok := strings.CutPrefix(base, "ForAnyValue:"); ok {
		base, c.set = rest, forAny
	}
	base, c.ifExists = strings.CutSuffix(base, "IfExists")
	if len(values) == 0 {
		return Condition{}, fmt.Errorf("has no value")
	}
	k, err := newKey(name)
	if err != nil {
		return Condition{}, err
	}
	c.key = k
	if base == "Null" {
		return nullCondition(c, values)
	}
	c.test, c.negated, err = newTest(base, values)
	if err != nil {
		return Condition{}, err
	}
	return c, nil
}

// nullCondition is the operator that asks whether a key is there; it takes no affix.
func nullCondition(c Condition, values []string) (Condition, error) {
	if c.set != single || c.ifExists {
		return Condition{}, fmt.Errorf("%q is no condition operator: Null takes no prefix and no IfExists", c.operator)
	}
	c.null = true
	for _, v := range values {
		b, err := parseBool(v)
		if err != nil {
			return Condition{}, fmt.Errorf("value %q %w", v, err)
		}
		c.wantNull = append(c.wantNull, b)
	}
	return c, nil
}

// String is the condition as a sentence names it.
func (c *Condition) String() string { return c.operator + " on " + c.name }

// Holds evaluates the condition. Anything in it that cannot be evaluated makes the whole of it Unknown.
func (c *Condition) Holds(e *Env) Outcome {
	for i := range c.test.patterns {
		if !e.resolvable(c.test.patterns[i].elements, inText) {
			return Unknown
		}
	}
	got, err := e.lookup(c.key)
	if err != nil {
		return Unknown
	}
	if c.null {
		return truth(slices.Contains(c.wantNull, len(got) == 0))
	}
	if len(got) == 0 {
		return truth(c.ifExists || c.set == forAll || c.negated && c.set != forAny)
	}
	// Without a quantifier one value is meant. Any-match would widen an Allow, all-match would narrow a Deny.
	if c.set == single && len(got) > 1 {
		return Unknown
	}
	return c.over(e, got)
}

// over asks the test of every value; one Unknown makes all of it Unknown.
func (c *Condition) over(e *Env, got []string) Outcome {
	all, some := true, false
	for _, g := range got {
		o := c.test.fits(e, g)
		if c.negated {
			o = o.not()
		}
		if o == Unknown {
			return Unknown
		}
		all, some = all && o == Yes, some || o == Yes
	}
	if c.set == forAny {
		return truth(some)
	}
	return truth(all)
}
