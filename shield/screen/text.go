package screen

import (
	"strings"

	"casemate/shield/screen/literal"
	"casemate/shield/screen/transform"
)

// words is how many machine words the bits of all word lists take.
const words = 16

// text is one string that rules look at, with what is known of it. A string that a transformation leaves as it is stays
// the same text, so that what was found in it is found once.
type text struct {
	s       string
	bytes   transform.Set
	exotic  bool // holds a character that folds to an ASCII letter: no literal can rule it out
	scanned bool
	found   [words]uint64 // word lists with a word in s
	asked   *plan         // whose rules know already whether they are worth asking of s
	lean    *text         // s without noise, when it was asked for
	sql     int8          // whether it has the structure of injected SQL: 1 yes, -1 no, 0 not looked at
	markup  int8          // of script that runs in a page
	code    int8          // of a call that runs code
	path    int8          // of a file's name
}

// item is a value of a variable under its name, with its transformations as far as they are done, by chain.
type item struct {
	key, fold string // the name as it was sent, and in lower case
	in        string // field name for reports: "body", "query"...
	done      []*text
}

// chain is a sequence of transformations: a step after a shorter one. Number 0 is the empty sequence.
type chain struct {
	parent int
	step   transform.ID
}

// recent is how many texts are looked through for one that is there already: those of the value in hand, about.
const recent = 16

// textOf makes a text, or gives the one of the last few that is the same: what ways of decoding make of a plain word is
// mostly equal, and what was found in it need not be found again.
func (x *run) textOf(s string) *text {
	for i := len(x.texts) - 1; i >= max(0, len(x.texts)-recent); i-- {
		if x.texts[i].s == s {
			return &x.texts[i]
		}
	}
	if len(x.texts) == cap(x.texts) {
		x.texts = make([]text, 0, 128)
	}
	x.texts = append(x.texts, text{s: s, bytes: transform.BytesOf(s)})
	t := &x.texts[len(x.texts)-1]
	if t.bytes[3] != 0 && (strings.Contains(s, "\u212a") || strings.Contains(s, "\u017f")) {
		t.exotic = true
	}
	x.spend(len(s))
	return t
}

// transformed is an item after a chain of transformations.
func (x *run) transformed(it *item, c int) *text {
	if t := it.done[c]; t != nil {
		return t
	}
	link := x.e.chains[c]
	t := x.step(x.transformed(it, link.parent), link.step)
	it.done[c] = t
	return t
}

func (x *run) step(t *text, id transform.ID) *text {
	if !x.e.table.Changes(id, &t.bytes) {
		return t
	}
	x.spend(len(t.s))
	if s := x.e.table.Apply(id, t.s); s != t.s {
		return x.textOf(s)
	}
	return t
}

// scan looks for every word list's words, once.
func (x *run) scan(t *text) {
	if t.scanned {
		return
	}
	t.scanned = true
	x.e.matcher.Scan(t.s, t.found[:])
	x.spend(len(t.s))
}

// squeezed is a text without noise.
func (x *run) squeezed(t *text) *text {
	if t.lean == nil {
		t.lean = t
		if t.bytes.Meets(&x.e.noise) {
			x.spend(len(t.s))
			t.lean = x.textOf(literal.Squeeze(t.s))
		}
	}
	x.scan(t.lean)
	return t.lean
}
