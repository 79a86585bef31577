// Package seclang reads rules in SecLang, the language of ModSecurity and Coraza, as far as the OWASP Core Rule Set uses
// it. It only reads: what it does not know is an error with its line, never a rule that is left out.
//
// The language: https://github.com/owasp-modsecurity/ModSecurity/wiki/Reference-Manual-(v3.x)
package seclang

import (
	"fmt"
	"strconv"
	"strings"
)

// Rule is one SecRule, SecAction or SecMarker. A SecAction has no operator, a SecMarker nothing but its Marker. One with
// Update set is a SecRuleUpdateTargetById: its Targets are to be left out of the rule with that id.
type Rule struct {
	ID         int
	Phase      int
	Line       int
	Marker     string
	Update     int
	Targets    []Target
	Op         Operator
	Transforms []string
	Message    string
	Severity   string
	Tags       []string
	Sets       []Set
	Controls   []Control
	SkipAfter  string
	Skip       int // rules of the same phase to pass over
	Capture    bool
	MultiMatch bool
	Disrupt    string // pass, block, deny, drop, allow; "" is pass
	Chain      *Rule  // what must match as well
}

// Target is a variable that a rule looks at.
type Target struct {
	Name   string // upper case
	Key    string // "" is all of a collection
	Regex  bool   // Key is a regular expression
	Count  bool   // the number of values, not the values
	Except []Target
}

// Operator is what a rule asks of a value. The zero Operator always matches.
type Operator struct {
	Name, Argument string
	Negated        bool
}

// Set is a setvar action on the TX collection; both parts may hold macros.
type Set struct {
	Name, Value string
	Remove      bool
}

// Control is a ctl action.
type Control struct {
	Name, Value string
	Target      Target
}

// Parse reads one file; the name is for errors. Comments, SecComponentSignature, SecDefaultAction with pass and the
// directives that set up an engine's own bounds are passed over.
func Parse(name, text string) ([]*Rule, error) {
	p := &parser{name: name}
	var buf strings.Builder
	start := 0
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if buf.Len() == 0 {
			start = n + 1
		}
		if strings.HasSuffix(line, `\`) {
			buf.WriteString(strings.TrimSuffix(line, `\`))
			continue
		}
		buf.WriteString(line)
		if err := p.directive(start, buf.String()); err != nil {
			return nil, fmt.Errorf("reading %s: line %d: %w", name, start, err)
		}
		buf.Reset()
	}
	if buf.Len() > 0 || p.tail != nil {
		return nil, fmt.Errorf("reading %s: it ends inside a rule", name)
	}
	return p.rules, nil
}

type parser struct {
	name  string
	rules []*Rule
	tail  *Rule // the rule that waits for the rest of its chain
}

func (p *parser) directive(line int, s string) error {
	word, rest, _ := strings.Cut(s, " ")
	rest = strings.TrimSpace(rest)
	r := &Rule{Phase: 2, Line: line}
	switch strings.ToLower(word) {
	case "secrule":
		targets, after, ok := cutTargets(rest)
		if !ok {
			return fmt.Errorf("a SecRule without an operator")
		}
		var err error
		if r.Targets, err = parseTargets(targets); err != nil {
			return err
		}
		op, after, ok := cutQuoted(after)
		if !ok {
			return fmt.Errorf("the operator is not quoted")
		}
		r.Op = parseOperator(strings.ReplaceAll(op, `\"`, `"`))
		return p.add(r, strings.TrimSpace(after))
	case "secaction":
		return p.add(r, rest)
	case "secmarker":
		p.rules = append(p.rules, &Rule{Line: line, Marker: strings.Trim(rest, `"'`)})
		return nil
	case "secruleupdatetargetbyid":
		return p.update(line, rest)
	case "seccomponentsignature", "secdefaultaction", "secruleengine", "secrequestbodyaccess", "secrequestbodylimit", "secrequestbodyinmemorylimit",
		"secrequestbodylimitaction", "secrequestbodyjsondepthlimit", "secresponsebodyaccess", "secresponsebodymimetype", "secresponsebodylimit",
		"secresponsebodylimitaction", "secdatadir", "secauditengine", "secauditlogrelevantstatus", "secauditlogparts", "secauditlogtype", "secauditlogformat":
		return nil
	}
	return fmt.Errorf("unknown directive %q", word)
}

// update reads "942420 "!REQUEST_COOKIES:name"": only what takes targets away.
func (p *parser) update(line int, s string) error {
	id, targets, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(id)
	if err != nil {
		return err
	}
	targets = strings.Trim(strings.TrimSpace(targets), `"`)
	less, ok := strings.CutPrefix(targets, "!")
	if !ok {
		return fmt.Errorf("an update that adds targets")
	}
	all, err := parseTargets(less)
	p.rules = append(p.rules, &Rule{Line: line, Update: n, Targets: all})
	return err
}

// add takes a rule's actions and puts it in its place: at the end, or at the end of the chain that waits for it.
func (p *parser) add(r *Rule, quoted string) error {
	if quoted != "" {
		actions, rest, ok := cutQuoted(quoted)
		if !ok || strings.TrimSpace(rest) != "" {
			return fmt.Errorf("the actions are not one quoted string")
		}
		chained, err := r.act(actions)
		if err != nil {
			return err
		}
		defer func() {
			if p.tail = nil; chained {
				p.tail = r
			}
		}()
	}
	if p.tail != nil {
		p.tail.Chain = r
		return nil
	}
	if r.ID == 0 {
		return fmt.Errorf("a rule without an id")
	}
	p.rules = append(p.rules, r)
	return nil
}

// cutTargets splits "VARS rest": the targets may be quoted.
func cutTargets(s string) (targets, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		return cutQuoted(s)
	}
	targets, rest, ok = strings.Cut(s, " ")
	return targets, strings.TrimSpace(rest), ok
}

// cutQuoted takes a leading string in double quotes, in which a backslash keeps a quote from ending it.
func cutQuoted(s string) (in, rest string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '"' {
		return "", "", false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], strings.TrimSpace(s[i+1:]), true
		}
	}
	return "", "", false
}

func parseOperator(s string) Operator {
	op := Operator{Name: "rx", Argument: s}
	if strings.HasPrefix(s, "!") {
		op.Negated, s = true, s[1:]
		op.Argument = s
	}
	if strings.HasPrefix(s, "@") {
		op.Name, op.Argument, _ = strings.Cut(s[1:], " ")
	}
	op.Argument = strings.TrimSpace(op.Argument)
	return op
}

// parseTargets reads "A|B:key|!B:/re/|&C".
func parseTargets(s string) ([]Target, error) {
	var out []Target
	for s != "" {
		one, rest := cutTarget(s)
		s = rest
		negated := strings.HasPrefix(one, "!")
		t := Target{Count: strings.HasPrefix(one, "&")}
		one = strings.TrimLeft(one, "!&")
		t.Name, t.Key, _ = strings.Cut(one, ":")
		t.Name = strings.ToUpper(t.Name)
		t.Key = strings.Trim(t.Key, "'")
		if t.Name == "" {
			return nil, fmt.Errorf("an empty variable")
		}
		if t.Name != "XML" && len(t.Key) > 2 && t.Key[0] == '/' && t.Key[len(t.Key)-1] == '/' {
			t.Key, t.Regex = t.Key[1:len(t.Key)-1], true
		}
		if !negated {
			out = append(out, t)
			continue
		}
		for i := range out {
			if out[i].Name == t.Name {
				out[i].Except = append(out[i].Except, t)
			}
		}
	}
	return out, nil
}

// cutTarget takes one variable; a bar inside /.../ does not end it.
func cutTarget(s string) (one, rest string) {
	xml := strings.HasPrefix(strings.TrimLeft(s, "!&"), "XML:")
	inside := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && inside:
			i++
		case s[i] == '/' && !xml && (inside || i > 0 && (s[i-1] == ':' || s[i-1] == '\'')):
			inside = !inside
		case s[i] == '|' && !inside:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// act reads "id:1,phase:2,t:none,msg:'a, b',chain".
func (r *Rule) act(s string) (chained bool, err error) {
	for s != "" {
		one, rest := cutAction(s)
		s = rest
		name, value, _ := strings.Cut(strings.TrimSpace(one), ":")
		value = strings.TrimSpace(value)
		if len(value) >= 2 && value[0] == '\'' && value[len(value)-1] == '\'' {
			value = value[1 : len(value)-1]
		}
		value = strings.ReplaceAll(value, `\'`, `'`)
		if name == "chain" {
			chained = true
			continue
		}
		if err := r.action(name, value); err != nil {
			return false, err
		}
	}
	return chained, nil
}

// cutAction takes one action; a comma inside quotes does not end it.
func cutAction(s string) (one, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '\'':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func (r *Rule) action(name, value string) (err error) {
	switch strings.ToLower(name) {
	case "id":
		r.ID, err = strconv.Atoi(value)
	case "phase":
		r.Phase, err = parsePhase(value)
	case "t":
		if r.Transforms = append(r.Transforms, value); value == "none" {
			r.Transforms = nil
		}
	case "msg":
		r.Message = value
	case "severity":
		r.Severity = strings.ToUpper(value)
	case "tag":
		r.Tags = append(r.Tags, value)
	case "setvar":
		err = r.set(value)
	case "ctl":
		err = r.control(value)
	case "skipafter":
		r.SkipAfter = value
	case "skip":
		r.Skip, err = strconv.Atoi(value)
	case "capture":
		r.Capture = true
	case "multimatch":
		r.MultiMatch = true
	case "pass", "block", "deny", "drop", "allow":
		r.Disrupt = strings.ToLower(name)
	case "log", "nolog", "auditlog", "noauditlog", "logdata", "ver", "rev", "maturity", "accuracy", "status", "initcol", "expirevar", "":
	default:
		err = fmt.Errorf("unknown action %q", name)
	}
	return err
}

func parsePhase(s string) (int, error) {
	switch s {
	case "request":
		return 2, nil
	case "response":
		return 4, nil
	case "logging":
		return 5, nil
	}
	n, err := strconv.Atoi(s)
	if err == nil && (n < 1 || n > 5) {
		err = fmt.Errorf("there is no phase %d", n)
	}
	return n, err
}

func (r *Rule) set(value string) error {
	s := Set{Remove: strings.HasPrefix(value, "!")}
	name, v, _ := strings.Cut(strings.TrimPrefix(value, "!"), "=")
	collection, key, ok := strings.Cut(name, ".")
	if !ok || !strings.EqualFold(collection, "tx") || key == "" {
		return fmt.Errorf("setvar %q is not on TX", value)
	}
	s.Name, s.Value = strings.ToLower(key), v
	r.Sets = append(r.Sets, s)
	return nil
}

func (r *Rule) control(value string) error {
	c := Control{}
	var target string
	c.Name, c.Value, _ = strings.Cut(value, "=")
	c.Value, target, _ = strings.Cut(c.Value, ";")
	if target != "" {
		all, err := parseTargets(strings.TrimSpace(target))
		if err != nil || len(all) != 1 {
			return fmt.Errorf("ctl %q names no single target", value)
		}
		c.Target = all[0]
	}
	r.Controls = append(r.Controls, c)
	return nil
}
