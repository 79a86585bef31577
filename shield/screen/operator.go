package screen

import (
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"casemate/shield/screen/literal"
	"casemate/shield/screen/seclang"
	"casemate/shield/screen/transform"

	"github.com/corazawaf/libinjection-go"
)

// operator asks one question of a text.
type operator struct {
	name     string
	negated  bool
	argument macro
	match    func(x *run, t *text, capture bool) bool
	need     []clause // what a text must hold to be worth asking; empty: nothing is known
	lean     []clause // what it must hold without noise
	first    clause   // the one that is fulfilled least often
	pm       bool     // the need is the whole question
}

// clause is a literal.Clause whose words are a list of the matcher.
type clause struct {
	bytes transform.Set
	list  int // -1: no words
}

// may reports whether a text holds what is needed.
func (x *run) may(o *operator, t *text) bool {
	if t.exotic {
		return true
	}
	x.scan(t)
	for i := range o.need {
		if !o.need[i].in(t) {
			return false
		}
	}
	if len(o.lean) == 0 {
		return true
	}
	lean := x.squeezed(t)
	for i := range o.lean {
		if !o.lean[i].in(lean) {
			return false
		}
	}
	return true
}

func (c *clause) in(t *text) bool {
	return c.list >= 0 && t.found[c.list>>6]&(1<<(c.list&63)) != 0 || c.bytes.Meets(&t.bytes)
}

// compileOperator makes an operator; words that it needs go to the compiler's matcher.
func (c *compiler) compileOperator(o seclang.Operator) (*operator, error) {
	out := &operator{name: o.Name, negated: o.Negated}
	var err error
	if out.argument, err = c.macro(o.Argument); err != nil {
		return nil, err
	}
	switch o.Name {
	case "rx":
		err = c.rx(out, o.Argument)
	case "pm":
		c.words(out, strings.Split(strings.ToLower(o.Argument), " "))
	case "pmFromFile":
		err = c.file(out, o.Argument)
	case "detectSQLi":
		out.match = func(x *run, t *text, _ bool) bool { return x.detectSQLi(t) }
	case "detectXSS":
		out.first = clause{bytes: transform.BytesOf("<="), list: -1}
		out.need = []clause{out.first}
		out.match = func(x *run, t *text, _ bool) bool {
			x.spend(libinjection5 * len(t.s))
			return libinjection.IsXSS(t.s)
		}
	case "validateByteRange":
		err = byteRange(out, o.Argument)
	case "ipMatch":
		err = addresses(out, o.Argument)
	default:
		out.match, err = plain(o.Name, out)
	}
	return out, err
}

// libinjection5 is what one of libinjection's passes costs, in work units a byte.
const libinjection5 = 5

// detectSQLi asks libinjection, but for what is one word or one number: no fingerprint of one token is an attack.
func (x *run) detectSQLi(t *text) bool {
	if oneToken(t) {
		return false
	}
	x.spend(libinjection5 * len(t.s))
	hit, _ := libinjection.IsSQLi(t.s)
	return hit
}

// oneToken reports whether a text is a bare word, or digits alone.
func oneToken(t *text) bool {
	if t.s == "" {
		return true
	}
	digits := transform.Set{0x03ff << 48}
	word := transform.Set{0x03ff << 48, 0x07fffffe<<32 | 0x87fffffe}
	return t.bytes.Within(&digits) || (t.s[0] < '0' || t.s[0] > '9') && t.bytes.Within(&word)
}

func plain(name string, o *operator) (func(*run, *text, bool) bool, error) {
	compare := func(f func(value, argument string) bool) (func(*run, *text, bool) bool, error) {
		return func(x *run, t *text, _ bool) bool { return f(t.s, o.argument.expand(x)) }, nil
	}
	number := func(f func(value, argument int) bool) (func(*run, *text, bool) bool, error) {
		return compare(func(v, a string) bool {
			n, _ := strconv.Atoi(v) // what is no number counts as 0, as the language has it
			m, _ := strconv.Atoi(a)
			return f(n, m)
		})
	}
	switch name {
	case "eq":
		return number(func(v, a int) bool { return v == a })
	case "ge":
		return number(func(v, a int) bool { return v >= a })
	case "gt":
		return number(func(v, a int) bool { return v > a })
	case "le":
		return number(func(v, a int) bool { return v <= a })
	case "lt":
		return number(func(v, a int) bool { return v < a })
	case "streq":
		return compare(func(v, a string) bool { return v == a })
	case "beginsWith":
		return compare(strings.HasPrefix)
	case "endsWith":
		return compare(strings.HasSuffix)
	case "contains":
		return compare(strings.Contains)
	case "within":
		return compare(func(v, a string) bool { return strings.Contains(a, v) })
	case "unconditionalMatch":
		return func(*run, *text, bool) bool { return true }, nil
	case "validateUrlEncoding":
		return func(_ *run, t *text, _ bool) bool { return badEscape(t.s) }, nil
	case "validateUtf8Encoding":
		return func(_ *run, t *text, _ bool) bool { return !utf8.ValidString(t.s) }, nil
	}
	return nil, fmt.Errorf("unknown operator @%s", name)
}

// badEscape reports whether a % is not followed by two hexadecimal digits.
func badEscape(s string) bool {
	hex := func(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }
	for i := 0; i < len(s); i++ {
		if s[i] == '%' {
			if i+2 >= len(s) || !hex(s[i+1]) || !hex(s[i+2]) {
				return true
			}
			i += 2
		}
	}
	return false
}

// rx compiles an expression when it is first asked: most never are. One that names single bytes which are no text is
// matched against the value as Latin-1.
func (c *compiler) rx(o *operator, expression string) error {
	latin := binary(expression)
	flags := "(?sm)"
	if latin {
		flags = ""
	}
	parsed, err := syntax.Parse(flags+expression, syntax.Perl)
	if err != nil {
		return err
	}
	if !o.negated {
		c.needs(o, parsed, latin)
	}
	automaton := sync.OnceValue(func() *literal.Automaton {
		again, err := syntax.Parse(flags+expression, syntax.Perl)
		if err != nil {
			return nil
		}
		a, err := literal.NewAutomaton(again)
		if err != nil {
			return nil // too large: the library says how it goes
		}
		return a
	})
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(flags + expression) }) // parsed above
	o.match = func(x *run, t *text, capture bool) bool {
		s := t.s
		if latin {
			s = latin1(s)
		}
		x.spend(rxWork * len(s))
		if a := automaton(); a != nil && !a.Match(s) {
			return false
		} else if a != nil && !capture {
			return true
		}
		if !capture {
			return compiled().MatchString(s)
		}
		at := compiled().FindStringSubmatchIndex(s)
		for i := 0; i < len(at)/2 && i < 9; i++ {
			v := ""
			if at[2*i] >= 0 {
				v = s[at[2*i]:at[2*i+1]]
			}
			x.tx[i] = txValue{v, true}
		}
		return at != nil
	}
	return nil
}

// common is how often a clause is fulfilled that is worth doing better.
const common = 0.01

// needs works out what an expression cannot match without.
func (c *compiler) needs(o *operator, parsed *syntax.Regexp, latin bool) {
	need := literal.Need
	if latin {
		need = literal.NeedBytes
	}
	all := need(parsed)
	for i := range all {
		o.need = append(o.need, c.clause(all[i]))
	}
	if len(all) > 0 {
		o.first = o.need[0]
	}
	if latin || len(all) > 0 && all[0].Odds() < common {
		return
	}
	lean := literal.NeedSqueezed(parsed)
	for i := range lean {
		o.lean = append(o.lean, c.clause(lean[i]))
	}
	if len(lean) > 0 && (len(all) == 0 || lean[0].Odds() < all[0].Odds()) {
		o.first = o.lean[0]
	}
}

// rxWork is what an expression costs, in work units a byte.
const rxWork = 8

// binary reports whether an expression holds \xNN escapes that do not make text.
func binary(expression string) bool {
	var raw []byte
	for i := 0; i < len(expression); i++ {
		if expression[i] == '\\' && i+3 < len(expression) && expression[i+1] == 'x' {
			digits, n := expression[i+2:i+4], 4
			if expression[i+2] == '{' {
				end := strings.IndexByte(expression[i:], '}')
				if end < 0 {
					return false
				}
				digits, n = expression[i+3:i+end], end+1
			}
			if v, err := strconv.ParseUint(digits, 16, 8); err == nil {
				raw = append(raw, byte(v))
				i += n - 1
				continue
			}
		}
		raw = append(raw, expression[i])
	}
	return !utf8.Valid(raw)
}

func latin1(s string) string {
	out := make([]rune, len(s))
	for i := range len(s) {
		out[i] = rune(s[i])
	}
	return string(out)
}

// words makes the question "is one of these in it".
func (c *compiler) words(o *operator, list []string) {
	need := literal.Clause{}
	for _, w := range list {
		switch {
		case len(w) == 1:
			need.Bytes.Add(w[0])
			need.Bytes.Add(strings.ToUpper(w)[0])
		case w != "":
			need.Words = append(need.Words, w)
		}
	}
	cl := c.clause(need)
	o.pm = !o.negated
	o.match = func(x *run, t *text, _ bool) bool {
		x.scan(t)
		return cl.list >= 0 && t.found[cl.list>>6]&(1<<(cl.list&63)) != 0 || cl.bytes.Meets(&t.bytes)
	}
	if !o.negated {
		o.need, o.first = []clause{cl}, cl
	}
}

func (c *compiler) file(o *operator, name string) error {
	data, err := fs.ReadFile(c.files, name)
	if err != nil {
		return err
	}
	var list []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, strings.ToLower(line))
		}
	}
	c.words(o, list)
	return nil
}

// clause gives the words of a need a list in the matcher.
func (c *compiler) clause(need literal.Clause) clause {
	out := clause{bytes: need.Bytes, list: -1}
	if len(need.Words) > 0 {
		out.list = c.lists
		c.lists++
		for _, w := range need.Words {
			c.matcher.Add(uint16(out.list), w) //nolint:gosec // bounded when the engine is made
		}
	}
	return out
}

// byteRange asks for a byte outside the ranges.
func byteRange(o *operator, argument string) error {
	valid := transform.Set{}
	for part := range strings.SplitSeq(argument, ",") {
		from, to, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			to = from
		}
		a, err := strconv.ParseUint(from, 10, 8)
		if err != nil {
			return err
		}
		b, err := strconv.ParseUint(to, 10, 8)
		if err != nil {
			return err
		}
		for ; a <= b; a++ {
			valid.Add(byte(a))
		}
	}
	o.match = func(_ *run, t *text, _ bool) bool { return !t.bytes.Within(&valid) }
	if !o.negated {
		o.first = clause{bytes: transform.Set{^valid[0], ^valid[1], ^valid[2], ^valid[3]}, list: -1}
		o.need = []clause{o.first}
	}
	return nil
}

func addresses(o *operator, argument string) error {
	var all []netip.Prefix
	for part := range strings.SplitSeq(argument, ",") {
		if !strings.Contains(part, "/") {
			a, err := netip.ParseAddr(part)
			if err != nil {
				return err
			}
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	o.match = func(_ *run, t *text, _ bool) bool {
		a, err := netip.ParseAddr(t.s)
		if err != nil {
			return false
		}
		for _, p := range all {
			if p.Contains(a.Unmap()) {
				return true
			}
		}
		return false
	}
	return nil
}
