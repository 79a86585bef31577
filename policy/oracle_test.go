package policy_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// oracle is the evaluator written the plain way: every statement of every layer is read anew for each request, texts
// become regular expressions, numbers fractions. It shares no code and no structure with the package, only its rules.
type oracle struct {
	policies casemate.Policies
	request  *casemate.AccessRequest
	regexps  map[string]*regexp.Regexp
}

type answer struct {
	verdict casemate.Verdict
	layer   string
	label   string // of the statement, for an Allow or an explicit Deny
}

const (
	never  = "never"
	always = "always"
	maybe  = "maybe" // cannot be evaluated
)

func (o *oracle) decide() answer {
	r := o.request
	p := r.Principal
	known := p != nil && p.Kind != "" && p.ID != ""
	type tier struct {
		name, prefix string
		statements   []casemate.Statement
		must, there  bool
	}
	tiers := []tier{{"guardrail", "guardrail", o.policies.Guardrails, true, len(o.policies.Guardrails) > 0}}
	if known && p.Role != "" {
		b, there := o.policies.Boundary[p.Role]
		tiers = append(tiers, tier{"boundary", "boundary " + p.Role, b, true, there})
	}
	if p != nil {
		tiers = append(tiers, tier{"session", "scope", p.Scope, true, p.Scope != nil})
	}
	if known && p.Role != "" {
		tiers = append(tiers, tier{"identity", "role " + p.Role, o.policies.Identity[p.Role], false, true})
	}
	tiers = append(tiers, tier{"resource", "policy of " + r.Resource, o.policies.Resource[r.Resource], false, true})
	same := known && p.Account != "" && p.Account == r.Account
	first := func(t tier, effect casemate.PolicyEffect) string {
		for i, s := range t.statements {
			if s.Effect == effect && o.applies(s, known, same && effect == casemate.Allow && t.name == "resource") {
				if s.Sid != "" {
					return s.Sid
				}
				return fmt.Sprintf("%s#%d", t.prefix, i)
			}
		}
		return ""
	}
	for _, t := range tiers {
		if label := first(t, casemate.Deny); label != "" {
			return answer{casemate.Denied, t.name, label}
		}
	}
	grants := map[string]string{}
	for _, t := range tiers {
		label := first(t, casemate.Allow)
		if t.must && t.there && label == "" {
			return answer{casemate.Denied, t.name, ""}
		}
		grants[t.name] = label
	}
	id, res := grants["identity"], grants["resource"]
	switch {
	case same && id != "", !same && id != "" && res != "":
		return answer{casemate.Allowed, "identity", id}
	case same && res != "", !known && res != "", known && strings.HasPrefix(p.ID, "service/") && res != "":
		return answer{casemate.Allowed, "resource", res}
	case id != "":
		return answer{casemate.Denied, "resource", ""}
	}
	return answer{casemate.Denied, "default", ""}
}

func (o *oracle) applies(s casemate.Statement, known, direct bool) bool {
	deny := s.Effect == casemate.Deny
	hit := false
	for _, a := range append(append([]string{}, s.Action...), s.NotAction...) {
		hit = hit || o.re("(?i)^"+globToRegexp(a)+"$").MatchString(o.request.Action)
	}
	if hit == (len(s.NotAction) > 0) {
		return false
	}
	if s.Principal != nil && !o.is(s.Principal, known, direct) || s.NotPrincipal != nil && o.is(s.NotPrincipal, known, direct) {
		return false
	}
	hit, hazy := false, false
	for _, text := range append(append([]string{}, s.Resource...), s.NotResource...) {
		m := o.arn(text, o.request.Resource)
		if m.unresolved {
			hazy = true
			hit = hit || m.match && len(s.Resource) > 0
			continue
		}
		hit = hit || m.match
	}
	if hazy && !deny || hit == (len(s.NotResource) > 0) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, values := range keys {
			got := o.condition(operator, key, values)
			if got == never || got == maybe && !deny {
				return false
			}
		}
	}
	return true
}

func (o *oracle) is(element map[string][]string, known, direct bool) bool {
	p := o.request.Principal
	for form, values := range element {
		for _, v := range values {
			switch {
			case v == "*":
				return true
			case !known:
			case form == "Service":
				if p.ID == "service/"+v {
					return true
				}
			case form == "Federated":
				if p.Kind == casemate.KindToken && p.Claims["iss"] == v && v != "" && !strings.HasPrefix(p.ID, "service/") {
					return true
				}
			case v == p.Account || v == "arn:aws:iam::"+p.Account+":root":
				if !direct && p.Account != "" {
					return true
				}
			case v == p.ARN || p.Role != "" && v == "arn:aws:iam::"+p.Account+":role/"+p.Role:
				return true
			}
		}
	}
	return false
}

func globToRegexp(glob string) string {
	return strings.NewReplacer(`\*`, `(?s:.*)`, `\?`, `(?s:.)`).Replace(regexp.QuoteMeta(glob))
}

func (o *oracle) re(text string) *regexp.Regexp {
	if o.regexps[text] == nil {
		o.regexps[text] = regexp.MustCompile(text)
	}
	return o.regexps[text]
}

var variableRegexp = regexp.MustCompile(`\$\{(\*|\?|\$|([^,}'*?$]+?) *(, *'([^']*)' *)?)\}`)

type expansion struct {
	text       string   // with one private character for each variable
	values     []string // what those stand for
	unresolved []bool
}

func (o *oracle) expand(text string) expansion {
	var x expansion
	x.text = variableRegexp.ReplaceAllStringFunc(text, func(v string) string {
		m := variableRegexp.FindStringSubmatch(v)
		value, missing := m[1], false
		if m[2] != "" {
			values, bad := o.values(m[2])
			value, missing = m[4], m[3] == ""
			switch {
			case bad || len(values) > 1:
				missing = true
			case len(values) == 1 && values[0] != "":
				value, missing = values[0], false
			}
		}
		x.values, x.unresolved = append(x.values, value), append(x.unresolved, missing)
		return string(rune(0xE000 + len(x.values) - 1))
	})
	return x
}

func (x expansion) regexp(part string, wild bool) string {
	var b strings.Builder
	for _, c := range part {
		switch {
		case c >= 0xE000 && int(c-0xE000) < len(x.values):
			if x.unresolved[c-0xE000] {
				b.WriteString(`(?s:.*)`)
			} else {
				b.WriteString(regexp.QuoteMeta(x.values[c-0xE000]))
			}
		case wild:
			b.WriteString(globToRegexp(string(c)))
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String()
}

type matched struct{ match, unresolved bool }

func (o *oracle) text(pattern, s, flags string, wild bool) matched {
	x := o.expand(pattern)
	m := matched{match: o.re("^" + flags + x.regexp(x.text, wild) + "$").MatchString(s)}
	for _, u := range x.unresolved {
		m.unresolved = m.unresolved || u
	}
	return m
}

func (o *oracle) arn(pattern, s string) matched {
	if pattern == "*" {
		return matched{match: true}
	}
	x := o.expand(pattern)
	var m matched
	for _, u := range x.unresolved {
		m.unresolved = m.unresolved || u
	}
	have, want := strings.SplitN(s, ":", 6), strings.SplitN(x.text, ":", 6)
	m.match = len(have) == 6 && have[0] == "arn"
	for i := 0; m.match && i < 6; i++ {
		m.match = o.re("^" + x.regexp(want[i], true) + "$").MatchString(have[i])
	}
	return m
}

// values of a condition key; bad when the request contradicts itself.
func (o *oracle) values(key string) (values []string, bad bool) {
	r := o.request
	p := r.Principal
	if p == nil {
		p = &casemate.Principal{}
	}
	if i := strings.IndexByte(key, ':'); strings.EqualFold(key[:i], "jwt") {
		if v, ok := p.Claims[key[i+1:]]; ok {
			return []string{v}, false
		}
		return nil, false
	}
	key = strings.ToLower(key)
	derived := map[string]string{
		"aws:principalarn": p.ARN, "aws:principalaccount": p.Account, "aws:userid": p.ID, "casemate:principalkind": string(p.Kind),
		"casemate:resource": r.Resource, "aws:resourceaccount": r.Account,
		"aws:epochtime": strconv.FormatInt(r.Now.Unix(), 10), "aws:currenttime": r.Now.Format(time.RFC3339Nano),
	}
	if v, ok := derived[key]; ok {
		if v == "" {
			return nil, false
		}
		return []string{v}, false
	}
	if key == "casemate:scopes" {
		return p.Scopes, false
	}
	if tag, ok := strings.CutPrefix(key, "aws:principaltag/"); ok {
		for k, v := range p.Tags {
			if strings.ToLower(k) == tag {
				values = append(values, v)
			}
		}
		return values, len(values) > 1
	}
	return r.Context[key], false
}

func (o *oracle) condition(operator, key string, wants []string) string {
	got, bad := o.values(key)
	if operator == "Null" {
		for _, w := range wants {
			if bad {
				return maybe
			}
			if (w == "true") == (len(got) == 0) {
				return always
			}
		}
		return never
	}
	quantifier, base, ok := strings.Cut(operator, ":")
	if !ok {
		quantifier, base = "", operator
	}
	base, ifExists := strings.CutSuffix(base, "IfExists")
	negated := strings.Contains(base, "Not")
	base = strings.ReplaceAll(base, "Not", "")
	if bad {
		return maybe
	}
	if strings.HasPrefix(base, "String") || strings.HasPrefix(base, "Arn") {
		for _, w := range wants {
			for _, u := range o.expand(w).unresolved {
				if u {
					return maybe
				}
			}
		}
	}
	if len(got) == 0 {
		if ifExists || quantifier == "ForAllValues" || negated && quantifier == "" {
			return always
		}
		return never
	}
	if quantifier == "" && len(got) > 1 {
		return maybe
	}
	count := 0
	for _, g := range got {
		hit := false
		for _, w := range wants {
			fits, err := o.compare(base, g, w)
			if err != nil {
				return maybe
			}
			hit = hit || fits
		}
		if hit != negated {
			count++
		}
	}
	if quantifier == "ForAnyValue" && count > 0 || quantifier != "ForAnyValue" && count == len(got) {
		return always
	}
	return never
}

func (o *oracle) compare(operator, got, want string) (bool, error) {
	switch operator {
	case "StringEquals":
		return o.text(want, got, "", false).match, nil
	case "StringEqualsIgnoreCase":
		return o.text(want, got, "(?i)", false).match, nil
	case "StringLike":
		return o.text(want, got, "", true).match, nil
	case "ArnEquals", "ArnLike":
		return o.arn(want, got).match, nil
	case "Bool":
		g, w := strings.ToLower(got), strings.ToLower(want)
		if g != "true" && g != "false" {
			return false, fmt.Errorf("no bool")
		}
		return g == w, nil
	case "BinaryEquals":
		g, err := base64.StdEncoding.DecodeString(got)
		w, _ := base64.StdEncoding.DecodeString(want)
		return bytes.Equal(g, w), err
	case "IpAddress":
		g := net.ParseIP(got)
		if g == nil {
			return false, fmt.Errorf("no address")
		}
		if !strings.Contains(want, "/") {
			return g.Equal(net.ParseIP(want)), nil
		}
		_, n, err := net.ParseCIDR(want)
		return err == nil && n.Contains(g), nil
	}
	var c int
	if relation, ok := strings.CutPrefix(operator, "Numeric"); ok {
		g, ok := new(big.Rat).SetString(got)
		if !ok {
			return false, fmt.Errorf("no number")
		}
		w, _ := new(big.Rat).SetString(want)
		operator, c = relation, g.Cmp(w)
	} else {
		g, err := oracleDate(got)
		if err != nil {
			return false, err
		}
		w, _ := oracleDate(want)
		operator, c = strings.TrimPrefix(operator, "Date"), g.Compare(w)
	}
	return map[string]bool{
		"Equals": c == 0, "LessThan": c < 0, "LessThanEquals": c <= 0, "GreaterThan": c > 0, "GreaterThanEquals": c >= 0,
	}[operator], nil
}

func oracleDate(s string) (time.Time, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	if len(s) == len("2030-01-01") {
		s += "T00:00:00Z"
	}
	return time.Parse(time.RFC3339, s)
}
