// Package detect finds what signatures of text see badly: serialised objects, operators and prototypes in names, templates,
// paths, addresses, commands, broken lines, documents that declare entities. Each detector looks for a structure that
// harms, not for a word: what merely talks about an attack passes. Every one of them is linear in the size of the value.
package detect

import (
	"casemate/shield/expand"
)

// Class is a kind of attack.
type Class string

// The classes.
const (
	Deserialisation Class = "deserialisation"
	NoSQL           Class = "nosql"
	Prototype       Class = "prototype"
	Template        Class = "template"
	Path            Class = "path"
	SSRF            Class = "ssrf"
	Command         Class = "command"
	Line            Class = "line"
	XXE             Class = "xxe"
	LDAP            Class = "ldap"
	XPath           Class = "xpath"
	Code            Class = "code"
	SQL             Class = "sqli"
)

// Finding is one structure that was found in a piece.
type Finding struct {
	Rule  string // "casemate/pickle"
	Class Class
	Score int // as the OWASP core rule set counts: Sure is enough to refuse, Likely needs company
}

// The scores.
const (
	Sure   = 5
	Likely = 3
)

// look is one piece while it is being looked at.
type look struct {
	*expand.Piece
	found []Finding
}

func (l *look) hit(rule string, class Class, score int) {
	l.found = append(l.found, Finding{Rule: "casemate/" + rule, Class: class, Score: score})
}

// Detect appends what is found in p to found. A value of letters and digits alone costs nothing.
func Detect(found []Finding, p *expand.Piece) []Finding {
	l := look{Piece: p, found: found}
	switch p.Kind {
	case expand.Bytes:
		l.serialised()
		return l.found
	case expand.Name:
		l.operator()
		l.prototype()
	}
	if p.Has&^(expand.Space|expand.Minus|expand.Under|expand.High) == 0 {
		return l.found
	}
	if len(p.Value) > 1 {
		l.text()
	}
	return l.found
}

// text runs the detectors whose classes of bytes the value holds.
func (l *look) text() {
	has := func(all expand.Trait) bool { return l.Has&all == all }
	if has(expand.Colon|expand.Quote) || has(expand.Line) || l.Has&(expand.Dollar|expand.Other|expand.Control|expand.High) != 0 {
		l.serialised()
	}
	if has(expand.Dot) && l.typed() {
		l.hit("typed-json", Deserialisation, Sure)
	}
	if has(expand.Dollar) {
		l.query()
	}
	if has(expand.Open) || has(expand.Angle|expand.Percent) || has(expand.Dollar|expand.Paren) || has(expand.At|expand.Paren) {
		l.template()
	}
	if l.Has&(expand.Slash|expand.Backslash) != 0 {
		l.traversal()
	}
	if l.Has&(expand.Slash|expand.Backslash|expand.Colon) != 0 {
		l.address()
	}
	if l.Has&(expand.Shell|expand.Ampersand|expand.Line|expand.Dollar|expand.Quote|expand.Paren) != 0 || l.Value[0] == '-' {
		l.command()
	}
	if has(expand.Line) {
		l.line()
	}
	if has(expand.Angle) {
		l.markup()
	}
	if has(expand.Paren|expand.Equals) || has(expand.Paren|expand.Ampersand) {
		l.filter()
	}
	if has(expand.Quote) && l.Has&(expand.Slash|expand.Colon|expand.Paren) != 0 {
		l.xpath()
	}
	if has(expand.Quote) {
		l.login()
	}
	if has(expand.Quote) && l.Has&(expand.Shell|expand.Ampersand) != 0 {
		l.script()
	}
	if l.Has&(expand.Paren|expand.Shell) != 0 {
		l.formula()
	}
	if has(expand.Paren) || has(expand.Under) {
		l.code()
	}
	if has(expand.Dot) && l.Has&(expand.Slash|expand.Backslash|expand.Paren|expand.Under) == 0 { // else it was asked above
		l.route()
	}
	if l.Has&expand.Control != 0 {
		l.nul()
	}
}
