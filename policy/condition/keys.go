package condition

import (
	"slices"

	"casemate"
)

// Keys are condition keys that somebody's statements refer to and that a request brings along: not those that follow from
// its action, its resource, its account and its time. The zero Keys is none.
type Keys struct{ list []key }

// maxFacts bounds what Facts gives, in bytes of values: more of them would not fit a record.
const maxFacts = 8 << 10

// Condition adds the keys of c.
func (s *Keys) Condition(c *Condition) {
	s.add(c.key)
	for i := range c.test.patterns {
		s.elements(c.test.patterns[i].elements)
	}
}

// Principal adds what a Principal element looks at beside account and role.
func (s *Keys) Principal(federated bool) {
	s.add(key{kind: keyPrincipalARN})
	if federated {
		s.add(key{kind: keyPrincipalKind})
		s.add(key{keyClaim, "iss"})
	}
}

// ARN adds the variables of a.
func (s *Keys) ARN(a *ARNPattern) {
	for i := range a.head {
		s.elements(a.head[i].elements)
	}
	s.elements(a.tail.elements)
}

func (s *Keys) elements(es []element) {
	for i := range es {
		if es[i].kind == variable {
			s.add(es[i].key)
		}
	}
}

func (s *Keys) add(k key) {
	if k.text() != "" && !slices.Contains(s.list, k) {
		s.list = append(s.list, k)
	}
	if k.kind == keyUserName {
		s.add(key{kind: keyPrincipalARN}) // it is a part of it
	}
}

// Join adds the keys of o.
func (s *Keys) Join(o *Keys) {
	for _, k := range o.list {
		s.add(k)
	}
}

// Names are the keys as policies spell them.
func (s *Keys) Names() []string {
	names := make([]string, len(s.list))
	for i, k := range s.list {
		names[i] = k.text()
	}
	return names
}

// Facts adds to list what each key is in e: no values means that the request has none. What is in list already is not added
// again, and what is too long to be kept is left out as a whole.
func (s *Keys) Facts(e *Env, list []casemate.Fact) []casemate.Fact {
	room := maxFacts
	for i := range list {
		room -= sizeOf(list[i].Values)
	}
	for _, k := range s.list {
		name := k.text()
		if slices.ContainsFunc(list, func(f casemate.Fact) bool { return f.Key == name }) {
			continue
		}
		vs, err := e.lookup(k)
		if err != nil || sizeOf(vs) > room {
			continue
		}
		room -= sizeOf(vs)
		list = append(list, casemate.Fact{Key: name, Values: slices.Clone(vs)})
	}
	return list
}

func sizeOf(vs []string) (n int) {
	for _, v := range vs {
		n += len(v)
	}
	return n
}

// text is the key as policies spell it; "" for one that the rest of a request says already.
func (k key) text() string {
	switch k.kind {
	case keyContext:
		return k.name
	case keyClaim:
		return "jwt:" + k.name
	case keyPath:
		return "path:" + k.name
	case keyPrincipalTag:
		return "aws:principaltag/" + k.name
	case keyPrincipalARN:
		return "aws:principalarn"
	case keyPrincipalKind:
		return "casemate:principalkind"
	case keyUserName:
		return "aws:username"
	case keyScopes:
		return "casemate:scopes"
	}
	return ""
}
