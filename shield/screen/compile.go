package screen

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"casemate/shield/screen/literal"
	"casemate/shield/screen/seclang"
	"casemate/shield/screen/transform"
)

// rule is one rule, ready to be asked.
type rule struct {
	id       int
	index    int // in Engine.rules
	message  string
	severity string
	class    string
	tags     []string
	targets  []target
	op       *operator // nil: always matches
	chain    int       // transformations
	prefixes []int     // of the chain and itself, when each is looked at
	capture  bool
	sets     []set
	controls []control
	skip     int // the rule of the phase to go on with, 0: the next
	deny     bool
	next     *rule // chained
	filtered bool  // asked only when a text holds what it needs
}

type target struct {
	v       variable
	key     string // in lower case where the collection folds names
	re      *regexp.Regexp
	count   bool
	slot    int // of TX, when key is set
	except  []exception
	literal bool // the names' case counts
}

type exception struct {
	key string
	re  *regexp.Regexp
}

type set struct {
	name   macro
	slot   int // -1: the name is made while running
	value  macro
	remove bool
}

// control is a ctl action that the screen acts on.
type control struct {
	kind   string // "body": REQUEST_BODY is filled; "processor"; "tag"; "target"
	value  string
	v      variable
	marked []uint64 // rules, by index
}

// compiler makes an Engine of files.
type compiler struct {
	files   fs.FS
	matcher literal.Builder
	lists   int
	slots   map[string]int
	names   []string // of the slots
	chains  []chain
	byChain map[string]int
	regexps map[string]*regexp.Regexp
}

func newCompiler(files fs.FS) *compiler {
	c := &compiler{files: files, slots: map[string]int{}, chains: []chain{{}}, byChain: map[string]int{"": 0}, regexps: map[string]*regexp.Regexp{}}
	for i := range 10 { // captures come first
		c.slot(string(rune('0' + i)))
	}
	return c
}

func (c *compiler) slot(name string) int {
	if i, ok := c.slots[name]; ok {
		return i
	}
	i := len(c.names)
	c.slots[name] = i
	c.names = append(c.names, name)
	return i
}

// compile turns a parsed rule and what is chained to it into a rule.
func (c *compiler) compile(r *seclang.Rule) (*rule, error) {
	out, err := c.one(r)
	if err != nil {
		return nil, fmt.Errorf("rule %d: line %d: %w", r.ID, r.Line, err)
	}
	out.class = classOf(r.Tags)
	at := out
	for link := r.Chain; link != nil; link = link.Chain {
		if at.next, err = c.one(link); err != nil {
			return nil, fmt.Errorf("rule %d: line %d: %w", r.ID, link.Line, err)
		}
		at = at.next
		at.id = r.ID
	}
	out.capture = out.capture && captured(out)
	for link := out.next; link != nil; link = link.next {
		link.capture = link.capture && captured(out)
	}
	out.filtered = filterable(out)
	return out, nil
}

func (c *compiler) one(r *seclang.Rule) (*rule, error) {
	out := &rule{id: r.ID, message: r.Message, severity: r.Severity, tags: r.Tags, capture: r.Capture, deny: r.Disrupt == "deny" || r.Disrupt == "drop"}
	for _, t := range r.Targets {
		one, err := c.target(t)
		if err != nil {
			return nil, err
		}
		out.targets = append(out.targets, one)
	}
	var err error
	if r.Op.Name != "" {
		if out.op, err = c.compileOperator(r.Op); err != nil {
			return nil, err
		}
	}
	if out.chain, out.prefixes, err = c.transforms(r.Transforms); err != nil {
		return nil, err
	}
	if !r.MultiMatch {
		out.prefixes = nil
	}
	for _, s := range r.Sets {
		one := set{slot: -1, remove: s.Remove}
		if one.name, err = c.macro(s.Name); err != nil {
			return nil, err
		}
		if one.name.parts == nil {
			one.slot = c.slot(s.Name)
		}
		if one.value, err = c.macro(s.Value); err != nil {
			return nil, err
		}
		out.sets = append(out.sets, one)
	}
	for _, k := range r.Controls {
		one, err := controlOf(k)
		if err != nil {
			return nil, err
		}
		if one.kind != "" {
			out.controls = append(out.controls, one)
		}
	}
	return out, nil
}

func (c *compiler) target(t seclang.Target) (target, error) {
	v, err := variableOf(t.Name)
	if err != nil {
		return target{}, err
	}
	out := target{v: v, count: t.Count, literal: v >= vArgs && v <= vArgsGetNames}
	if out.key = t.Key; !out.literal {
		out.key = strings.ToLower(t.Key)
	}
	if t.Regex {
		if out.re, err = c.regexp(out.key); err != nil {
			return out, err
		}
	}
	if v == vTX && t.Key != "" && !t.Regex {
		out.slot = c.slot(out.key)
	}
	for _, e := range t.Except {
		one := exception{key: strings.ToLower(e.Key)}
		if e.Regex {
			if one.re, err = c.regexp(e.Key); err != nil {
				return out, err
			}
		}
		out.except = append(out.except, one)
	}
	return out, nil
}

func (c *compiler) regexp(s string) (*regexp.Regexp, error) {
	if re := c.regexps[s]; re != nil {
		return re, nil
	}
	re, err := regexp.Compile(s)
	c.regexps[s] = re
	return re, err
}

// transforms gives a sequence its number, and the numbers of what comes before each of its steps.
func (c *compiler) transforms(steps []string) (int, []int, error) {
	at, key := 0, ""
	prefixes := []int{0}
	for _, name := range steps {
		id, ok := transform.Lookup(name)
		if !ok {
			return 0, nil, fmt.Errorf("unknown transformation %q", name)
		}
		key += string(rune('a' + id))
		next, ok := c.byChain[key]
		if !ok {
			next = len(c.chains)
			c.chains = append(c.chains, chain{at, id})
			c.byChain[key] = next
		}
		at = next
		prefixes = append(prefixes, at)
	}
	return at, prefixes, nil
}

func controlOf(k seclang.Control) (control, error) {
	switch k.Name {
	case "forceRequestBodyVariable":
		return control{kind: "body"}, nil
	case "requestBodyProcessor":
		return control{kind: "processor", value: strings.ToUpper(k.Value)}, nil
	case "ruleRemoveByTag":
		return control{kind: "tag", value: k.Value}, nil
	case "ruleRemoveTargetByTag":
		v, err := variableOf(k.Target.Name)
		return control{kind: "target", value: k.Value, v: v}, err
	case "auditEngine":
		return control{}, nil
	}
	return control{}, fmt.Errorf("unknown control %q", k.Name)
}

// captured reports whether anything of a rule or its chain reads what an expression captured.
func captured(r *rule) bool {
	reads := func(m *macro) bool {
		return slices.ContainsFunc(m.parts, func(p part) bool { return p.v == vTX && p.slot < 10 })
	}
	for ; r != nil; r = r.next {
		for i := range r.targets {
			if r.targets[i].v == vTX && r.targets[i].key != "" && r.targets[i].re == nil && r.targets[i].slot < 10 {
				return true
			}
		}
		if r.op != nil && reads(&r.op.argument) {
			return true
		}
		for i := range r.sets {
			if reads(&r.sets[i].value) || reads(&r.sets[i].name) {
				return true
			}
		}
	}
	return false
}

// filterable reports whether a rule can be left alone unless a text holds what it needs.
func filterable(r *rule) bool {
	if r.op == nil || r.op.negated || len(r.op.need)+len(r.op.lean) == 0 {
		return false
	}
	for i := range r.targets {
		if t := &r.targets[i]; t.count || t.v >= vTX {
			return false
		}
	}
	return true
}

// classOf is the kind of attack that a rule is about, in one word.
func classOf(tags []string) string {
	for _, t := range tags {
		if c, ok := strings.CutPrefix(t, "attack-"); ok {
			return c
		}
	}
	return "protocol"
}
