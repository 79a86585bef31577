package screen

import (
	"slices"
	"strings"

	"casemate"
)

// Match is a rule that matched a value. It holds nothing of the value.
type Match struct {
	ID       int    `json:"rule"`
	Class    string `json:"class"` // sqli, xss, rce, lfi...
	Severity string `json:"severity,omitempty"`
	Message  string `json:"message,omitempty"`
	Variable string `json:"variable"`       // in the rules' terms: ARGS
	In       string `json:"in,omitempty"`   // Field.In of what matched
	Name     string `json:"name,omitempty"` // Field.Name of what matched
	// Confirmed says that the value has the structure of the attack, not only words of it. Only with Config.Attacks, and
	// only SQL injection and script in pages are confirmed.
	Confirmed bool `json:"confirmed,omitempty"`
}

// Verdict is what a screening came to.
type Verdict struct {
	Score   int     // what the matches add up to: 5 a critical one, 4 an error, 3 a warning, 2 a notice
	Blocked bool    // the score has reached the threshold, or a rule refuses by itself
	Spent   bool    // the budget ran out before the end: what is not there was not looked for
	Work    int     // work units used: bytes, times how dear what was done with them is; a few nanoseconds each
	Matches []Match // in the order of the rules
}

// Exempt says whether a rule is to leave a field alone.
type Exempt func(rule int, in, name string) bool

// Options are for one screening.
type Options struct {
	Exempt Exempt // nil: nothing is left alone
	Budget int    // work units; 0 is DefaultBudget
}

// DefaultBudget is the work that one event may cost: what some 400 KB of prose take.
const DefaultBudget = 64 << 20

// workPerByte is what a byte of prose costs, at most.
const workPerByte = 176

// BudgetFor is the work that so many bytes of prose cost; 0 is DefaultBudget.
func BudgetFor(text int64) int {
	if text <= 0 {
		return DefaultBudget
	}
	return int(min(text, 1<<26)) * workPerByte
}

// Fields screens values of an event for attacks: what clients send about themselves as headers, a path as a file name,
// everything else as an argument.
func (e *Engine) Fields(fields []casemate.Field, o Options) Verdict {
	x := e.start(o)
	defer e.finish(x)
	for i := range fields {
		x.field(&fields[i])
	}
	for v := range variable(singles) {
		x.prepare(v, 0)
	}
	x.prepare(vFilename, 0)
	x.prepare(vBasename, 0)
	x.phase(1)
	x.phase(2)
	return x.verdict()
}

func (x *run) field(f *casemate.Field) {
	value := string(f.Value)
	switch f.In {
	case "header":
		v := vArgs
		if strings.EqualFold(f.Name, "user-agent") || strings.EqualFold(f.Name, "referer") {
			v = vHeaders
		}
		x.add(v, f.In, f.Name, value)
	case "path":
		x.add(vFilename, f.In, f.Name, value)
		if i := strings.LastIndexAny(value, `/\`); i >= 0 && i+1 < len(value) {
			value = value[i+1:]
		}
		x.add(vBasename, f.In, f.Name, value)
	default:
		x.add(vArgs, f.In, f.Name, value)
	}
}

func (x *run) verdict() Verdict {
	v := Verdict{Score: x.score(x.e.inbound), Spent: x.spent, Work: x.work, Matches: slices.Clone(x.hits)}
	v.Blocked = v.Score >= x.e.config.Threshold || x.denied
	return v
}
