package literal

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"sync"
	"unicode/utf8"
)

// Automaton says whether an expression matches a value, as regexp.MatchString does: with states that are made when they
// are first needed, one step a character. It is safe for concurrent use.
type Automaton struct {
	prog *syntax.Prog
	pool sync.Pool
}

// Bounds of one automaton's memory: when there are more states than this, it begins anew.
const (
	maxStates = 300
	ascii     = utf8.RuneSelf
)

// NewAutomaton compiles a parsed expression.
func NewAutomaton(re *syntax.Regexp) (*Automaton, error) {
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, err
	}
	a := &Automaton{prog: prog}
	a.pool.New = func() any { return &states{prog: prog, mark: make([]uint32, len(prog.Inst))} }
	return a, nil
}

// Match reports whether the expression matches anywhere in s.
func (a *Automaton) Match(s string) bool {
	m := a.pool.Get().(*states)
	defer a.pool.Put(m)
	return m.match(s)
}

// state is a set of instructions that wait for the next character, and what the one before was.
type state struct {
	pcs    []uint32
	before rune // a stand-in of its kind: -1 at the beginning, a newline, a letter, a blank
	next   [ascii]*state
	end    int8 // whether it matches when nothing follows: 1 yes, -1 no, 0 not known
}

// states are those made so far, by one user at a time.
type states struct {
	prog  *syntax.Prog
	known map[string]*state
	first *state
	yes   state // a match
	mark  []uint32
	round uint32
	stack []uint32
	out   []uint32
	key   []byte
}

func (m *states) match(s string) bool {
	if m.first == nil || len(m.known) > maxStates {
		m.known = map[string]*state{}
		m.first = m.state(nil, -1)
	}
	if m.round > 1<<31 {
		m.round = 0
		clear(m.mark)
	}
	at := m.first
	for i := 0; i < len(s); {
		c := s[i]
		if c < ascii {
			next := at.next[c]
			if next == nil {
				next = m.step(at, rune(c))
				at.next[c] = next
			}
			at = next
			i++
		} else {
			r, n := utf8.DecodeRuneInString(s[i:])
			at = m.step(at, r)
			i += n
		}
		if at == &m.yes {
			return true
		}
		if len(m.known) > 2*maxStates {
			m.known = map[string]*state{} // states in use live on until they are left
			m.first = nil
		}
	}
	if at.end == 0 {
		if at.end = -1; m.closure(at, -1) {
			at.end = 1
		}
	}
	return at.end > 0
}

// state is the one with these instructions.
func (m *states) state(pcs []uint32, before rune) *state {
	slices.Sort(pcs)
	m.key = m.key[:0]
	for _, pc := range pcs {
		m.key = binary.LittleEndian.AppendUint32(m.key, pc)
	}
	m.key = binary.LittleEndian.AppendUint32(m.key, uint32(before)) //nolint:gosec // one of four stand-ins
	if s := m.known[string(m.key)]; s != nil {
		return s
	}
	s := &state{pcs: slices.Clone(pcs), before: before}
	m.known[string(m.key)] = s
	return s
}

// kindOf stands for every character that the empty-width assertions treat alike.
func kindOf(r rune) rune {
	switch {
	case r == '\n':
		return '\n'
	case syntax.IsWordChar(r):
		return 'a'
	}
	return ' '
}

// closure follows what needs no character, from the waiting instructions and from the beginning of the expression. What
// waits for a character is left in m.out; true is a match.
func (m *states) closure(at *state, next rune) bool {
	flags := syntax.EmptyOpContext(at.before, next)
	m.round++
	m.out = m.out[:0]
	m.stack = append(append(m.stack[:0], at.pcs...), uint32(m.prog.Start)) //nolint:gosec // an index of instructions
	for len(m.stack) > 0 {
		pc := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if m.mark[pc] == m.round {
			continue
		}
		m.mark[pc] = m.round
		switch in := &m.prog.Inst[pc]; in.Op {
		case syntax.InstMatch:
			return true
		case syntax.InstAlt, syntax.InstAltMatch:
			m.stack = append(m.stack, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			m.stack = append(m.stack, in.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^flags == 0 {
				m.stack = append(m.stack, in.Out)
			}
		case syntax.InstFail:
		default:
			m.out = append(m.out, pc)
		}
	}
	return false
}

// step is where a character leads.
func (m *states) step(at *state, r rune) *state {
	if m.closure(at, r) {
		return &m.yes
	}
	m.round++
	to := m.out[:0]
	for _, pc := range m.out {
		in := &m.prog.Inst[pc]
		if in.MatchRune(r) && m.mark[in.Out] != m.round {
			m.mark[in.Out] = m.round
			to = append(to, in.Out)
		}
	}
	return m.state(to, kindOf(r))
}
