// Package screen looks for injection in what callers wrote, by the rules of the OWASP Core Rule Set. It reads the rules
// as data and gives the verdicts that Coraza gives, at a small part of the cost: what a rule cannot match without is
// found for all rules in one pass over a value, each value is transformed and looked at once however many rules ask, and
// an expression runs only where what it needs was found. Expressions are RE2: none can be made slow by what it reads.
package screen

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"casemate/shield/screen/confirm"
	"casemate/shield/screen/literal"
	"casemate/shield/screen/seclang"
	"casemate/shield/screen/transform"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

// Config is how strict an engine is.
type Config struct {
	Paranoia  int               // 1..4, default 1
	Settings  map[string]string // TX variables, set before the rules run
	Attacks   bool              // only the rules about attacks in values: not those about HTTP itself, or answers
	Answers   bool              // the rules about answers as well
	Threshold int               // score from which a request is blocked, default 5
}

// Engine is a compiled rule set. It is safe for concurrent use.
type Engine struct {
	config    Config
	rules     []*rule
	phases    [6][]*rule // by phase
	table     *transform.Table
	matcher   *literal.Matcher
	chains    []chain
	noise     transform.Set
	confirmer *confirm.Confirmer // with Config.Attacks
	initial   []txValue
	slots     map[string]int
	names     []string
	plans     [variables]plan
	runs      sync.Pool
	inbound   [5]int // slots of the scores by paranoia level
	outbound  [5]int
}

// plan says how the values of a variable are prepared: which chains are applied, and which of their results some rule's
// literals are looked for in.
type plan struct {
	chains []int
	ends   []bool
	// wanted are, for each list of words and for bytes, the rules to ask when it is found.
	lists map[int][]uint64
	bytes []byteRule
	lean  bool // some rule needs words between noise
}

type byteRule struct {
	set  transform.Set
	rule int
}

// Rules of the setup that the rule set expects: its own version.
const setup = "SecAction \"id:900990,phase:1,pass,nolog,setvar:tx.crs_setup_version=4250\"\n"

// readers are the rules of Coraza's recommended configuration that choose how a body is read.
const readers = `
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "^application/[a-z0-9.-]+[+]json" "id:200006,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" "id:200002,phase:2,t:none,log,deny,status:400"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:200003,phase:2,t:none,log,deny,status:400"
`

// New compiles the Core Rule Set that is part of the program. It takes some tens of milliseconds.
func New(config Config) (*Engine, error) {
	if config.Paranoia == 0 {
		config.Paranoia = 1
	}
	if config.Threshold == 0 {
		config.Threshold = 5
	}
	if config.Paranoia < 1 || config.Paranoia > 4 || config.Threshold < 1 {
		return nil, errors.New("opening the screen: the paranoia level is 1 to 4, the threshold at least 1")
	}
	parsed, files, err := load()
	if err != nil {
		return nil, fmt.Errorf("opening the screen: %w", err)
	}
	e, err := build(config, parsed, files)
	if err != nil {
		return nil, fmt.Errorf("opening the screen: %w", err)
	}
	return e, nil
}

// load reads the rule files in their order.
func load() ([]*seclang.Rule, fs.FS, error) {
	files, err := fs.Sub(coreruleset.FS, "@owasp_crs")
	if err != nil {
		return nil, nil, err
	}
	names, err := fs.Glob(files, "*.conf")
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	parsed, err := seclang.Parse("setup", setup+readers)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, nil, err
		}
		rules, err := seclang.Parse(path.Base(name), string(data))
		if err != nil {
			return nil, nil, err
		}
		parsed = append(parsed, rules...)
	}
	return update(parsed), files, nil
}

// update takes the targets away that the rule set's own exceptions name.
func update(parsed []*seclang.Rule) []*seclang.Rule {
	byID := map[int]*seclang.Rule{}
	for _, r := range parsed {
		byID[r.ID] = r
	}
	for _, u := range parsed {
		r := byID[u.Update]
		if u.Update == 0 || r == nil {
			continue
		}
		for _, less := range u.Targets {
			for i := range r.Targets {
				if r.Targets[i].Name == less.Name {
					r.Targets[i].Except = append(r.Targets[i].Except, less)
				}
			}
		}
	}
	return slices.DeleteFunc(parsed, func(r *seclang.Rule) bool { return r.Update != 0 })
}

// wants says whether a rule belongs to what was asked for.
func (c *Config) wants(r *seclang.Rule) bool {
	switch {
	case r.Marker != "":
		return true
	case r.Phase == 5, r.Phase > 2 && (!c.Answers || c.Attacks):
		return false
	case !c.Attacks:
		return true
	}
	file := r.ID / 1000
	return file == 900 || file == 901 && r.ID < 901300 || file == 913 || file == 921 || file >= 930 && file < 949
}

func build(config Config, parsed []*seclang.Rule, files fs.FS) (*Engine, error) {
	c := newCompiler(files)
	e := &Engine{config: config, table: transform.New(), noise: transform.BytesOf(literal.Noise)}
	if config.Attacks {
		e.confirmer = confirm.New()
	}
	var order [6][]ordered
	for _, p := range parsed {
		if !config.wants(p) {
			continue
		}
		if p.Marker != "" {
			for phase := range order {
				order[phase] = append(order[phase], ordered{marker: p.Marker})
			}
			continue
		}
		order[p.Phase] = append(order[p.Phase], ordered{parsed: p})
	}
	f := fold(c, config, order[:])
	for phase, all := range f.kept {
		if err := e.lay(c, phase, all); err != nil {
			return nil, err
		}
	}
	if c.lists > words*64 {
		return nil, fmt.Errorf("%d word lists are too many", c.lists)
	}
	e.matcher, e.chains, e.slots, e.names = c.matcher.Build(), c.chains, c.slots, c.names
	e.initial = make([]txValue, len(c.names))
	for name, value := range f.tx {
		if slot, ok := c.slots[name]; ok {
			e.initial[slot] = txValue{value, true}
		}
	}
	for level := 1; level <= 4; level++ {
		e.inbound[level] = e.slotOf(fmt.Sprintf("inbound_anomaly_score_pl%d", level))
		e.outbound[level] = e.slotOf(fmt.Sprintf("outbound_anomaly_score_pl%d", level))
	}
	e.mark()
	e.prepare()
	e.runs.New = func() any { return newRun(e) }
	return e, nil
}

func (e *Engine) slotOf(name string) int {
	if slot, ok := e.slots[name]; ok {
		return slot
	}
	return 9 // a capture that no expression reaches
}

// lay compiles the rules of a phase and resolves where they skip to.
func (e *Engine) lay(c *compiler, phase int, all []ordered) error {
	markers := map[string]int{}
	n := 0
	for _, o := range all {
		if o.marker != "" {
			markers[o.marker] = n
			continue
		}
		n++
	}
	for _, o := range all {
		if o.marker != "" {
			continue
		}
		r, err := c.compile(o.parsed)
		if err != nil {
			return err
		}
		if o.parsed.SkipAfter != "" {
			at, ok := markers[o.parsed.SkipAfter]
			if r.skip = at; !ok || at <= len(e.phases[phase]) {
				r.skip = n
			}
		}
		if o.parsed.Skip > 0 {
			r.skip = len(e.phases[phase]) + 1 + o.parsed.Skip
		}
		r.index = len(e.rules)
		e.rules = append(e.rules, r)
		e.phases[phase] = append(e.phases[phase], r)
	}
	return nil
}

// mark finds the rules that controls take out.
func (e *Engine) mark() {
	for _, r := range e.rules {
		for ; r != nil; r = r.next {
			for i := range r.controls {
				k := &r.controls[i]
				k.marked = make([]uint64, e.width())
				for _, other := range e.rules {
					if slices.Contains(other.tags, k.value) {
						k.marked[other.index>>6] |= 1 << (other.index & 63)
					}
				}
			}
		}
	}
}

func (e *Engine) width() int { return (len(e.rules) + 63) / 64 }

// prepare makes the plan of every variable.
func (e *Engine) prepare() {
	for v := range e.plans {
		p := &e.plans[v]
		p.lists = map[int][]uint64{}
		needed := map[int]bool{}
		ends := map[int]bool{}
		for _, r := range e.rules {
			if !r.filtered || !slices.ContainsFunc(r.targets, func(t target) bool { return int(t.v) == v }) {
				continue
			}
			for _, c := range append([]int{r.chain}, r.prefixes...) {
				ends[c] = true
				for at := c; at != 0; at = e.chains[at].parent {
					needed[at] = true
				}
			}
			p.want(r, e.width())
		}
		for c := range e.chains {
			if needed[c] || ends[c] {
				p.chains = append(p.chains, c)
				p.ends = append(p.ends, ends[c])
			}
		}
	}
}

// want has a rule asked when its first clause is fulfilled.
func (p *plan) want(r *rule, width int) {
	first := r.op.first
	p.lean = p.lean || len(r.op.lean) > 0
	if first.bytes != (transform.Set{}) {
		p.bytes = append(p.bytes, byteRule{first.bytes, r.index})
	}
	if first.list >= 0 {
		if p.lists[first.list] == nil {
			p.lists[first.list] = make([]uint64, width)
		}
		p.lists[first.list][r.index>>6] |= 1 << (r.index & 63)
	}
}

// Known reports whether the rule set has a rule about attacks with this id. It reads the rules: not for every event.
func Known(id int) bool {
	parsed, _, err := load()
	c := Config{Attacks: true}
	return err == nil && slices.ContainsFunc(parsed, func(r *seclang.Rule) bool { return r.ID == id && r.ID%1000 >= 100 && c.wants(r) })
}
