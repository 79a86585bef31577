package condition

import (
	"fmt"
	"strings"
)

// ARN is a resource name in its six parts, arn:partition:service:region:account:resource. Only the last holds colons.
type ARN struct {
	Head [5]string
	Tail string
}

// SplitARN splits s; ok is false when it is no ARN.
func SplitARN(s string) (ARN, bool) {
	var a ARN
	for i := range a.Head {
		part, rest, ok := strings.Cut(s, ":")
		if !ok {
			return ARN{}, false
		}
		a.Head[i], s = part, rest
	}
	a.Tail = s
	return a, a.Head[0] == "arn"
}

// ARNPattern matches part by part: a star never crosses a colon, but in the last part it crosses everything
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html).
type ARNPattern struct {
	any     bool       // the single star: every resource, ARN or not
	fixed   string     // the first five parts with their colons when all are plain, else empty
	head    [5]Pattern // used when fixed is empty
	tail    Pattern
	dynamic bool
	at      where // of variables in the last part
}

// ParseARN reads "*" or a pattern of six parts. The error is the end of a sentence that starts with the text.
func ParseARN(text string) (ARNPattern, error) {
	if text == "*" {
		return ARNPattern{any: true}, nil
	}
	es, err := parseElements(text, true)
	if err != nil {
		return ARNPattern{}, err
	}
	var a ARNPattern
	// Parts are cut at the colons of the text, before any variable has a value: a value with a colon cannot shift them.
	plain := true
	for i := range a.head {
		part, rest, ok := cutColon(es)
		if !ok {
			return ARNPattern{}, fmt.Errorf("is neither * nor an ARN of six parts, arn:aws:service:region:account:resource")
		}
		a.head[i], es = patternOf(part), rest
		plain = plain && a.head[i].plain
		a.dynamic = a.dynamic || a.head[i].dynamic
	}
	if !a.head[0].plain || a.head[0].text != "arn" {
		return ARNPattern{}, fmt.Errorf(`does not start with "arn:"`)
	}
	a.tail, a.at = patternOf(es), inName
	if a.head[2].plain && a.head[2].text == "execute-api" {
		a.at = inPath
	}
	a.dynamic = a.dynamic || a.tail.dynamic
	if plain {
		for i := range a.head {
			a.fixed += a.head[i].text + ":"
		}
	}
	return a, nil
}

// cutColon splits es at the first colon that was written in the text; those of variables do not exist yet.
func cutColon(es []element) (part, rest []element, ok bool) {
	for i := range es {
		if es[i].kind != literal {
			continue
		}
		before, after, found := strings.Cut(es[i].text, ":")
		if !found {
			continue
		}
		part = append(part, es[:i]...)
		if before != "" {
			part = append(part, element{text: before})
		}
		if after != "" {
			rest = append(rest, element{text: after})
		}
		return part, append(rest, es[i+1:]...), true
	}
	return nil, nil, false
}

// Share puts an equal text of names in the place of the pattern's own, so that many patterns have one in memory.
func (a *ARNPattern) Share(names map[string]string) {
	if have, ok := names[a.fixed]; ok {
		a.fixed = have
	} else {
		names[a.fixed] = a.fixed
	}
}

// Prefix is the longest text that every matching resource starts with.
func (a *ARNPattern) Prefix() string {
	switch {
	case a.any || a.fixed == "":
		return ""
	case a.tail.plain:
		return a.fixed + a.tail.text
	case a.tail.elements[0].kind == literal:
		return a.fixed + a.tail.elements[0].text
	}
	return a.fixed
}

// Match compares with s. Resolved is false when a variable had no value; ok then tells whether some value would fit.
func (a *ARNPattern) Match(e *Env, s string) (ok, resolved bool) {
	if a.any {
		return true, true
	}
	if a.fixed != "" {
		if !strings.HasPrefix(s, a.fixed) {
			return false, !a.dynamic || e.resolvable(a.tail.elements, a.at)
		}
		return a.tail.match(e, s[len(a.fixed):], a.at)
	}
	parts, isARN := SplitARN(s)
	ok, resolved = a.tail.match(e, parts.Tail, a.at)
	for i := range a.head {
		fits, known := a.head[i].Match(e, parts.Head[i])
		ok, resolved = ok && fits, resolved && known
	}
	return ok && isARN, resolved
}
