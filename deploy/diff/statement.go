package diff

import (
	"strconv"
	"strings"

	"casemate"
)

// statements compares two lists as sets; where a statement stands in its file does not count.
func (c *comparer) statements(subject string, was, is []casemate.Statement) {
	old, fresh := byText(was), byText(is)
	for _, t := range union(old, fresh) {
		_, had := old[t]
		s, has := fresh[t]
		switch {
		case has && !had:
			c.statement("add", subject, s.Effect == casemate.Allow, s)
		case had && !has:
			c.statement("remove", subject, old[t].Effect == casemate.Deny, old[t])
		}
	}
}

func (c *comparer) statement(op, subject string, wider bool, s casemate.Statement) {
	c.changes = append(c.changes, Change{KindPermission, op, subject, phrase(s), wider, &s})
}

func byText(l []casemate.Statement) map[string]casemate.Statement {
	m := map[string]casemate.Statement{}
	for _, s := range l {
		m[Text(s)] = s
	}
	return m
}

// phrase is a statement in one line: as the grant that it was written as, or spelled out.
func phrase(s casemate.Statement) string {
	if at, grant, ok := strings.Cut(s.Origin, " grant "); ok {
		if text, err := strconv.Unquote(grant); err == nil {
			place, _, _ := strings.Cut(at, " ")
			return text + " (" + place + ")"
		}
	}
	part := func(word string, not, l []string) string {
		if len(not) > 0 {
			return word + " other than " + strings.Join(not, ", ")
		}
		return word + strings.Join(l, ", ")
	}
	text := string(s.Effect) + " " + part("", s.NotAction, s.Action) + " on " + part("", s.NotResource, s.Resource)
	if len(s.Principal)+len(s.NotPrincipal) > 0 {
		text += " for " + Text(s.Principal)
		if len(s.NotPrincipal) > 0 {
			text = strings.TrimSuffix(text, "null") + "all but " + Text(s.NotPrincipal)
		}
	}
	if len(s.Condition) > 0 {
		text += " if " + Text(s.Condition)
	}
	if s.Origin != "" {
		text += " (" + s.Origin + ")"
	}
	return text
}
