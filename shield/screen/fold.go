package screen

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"casemate/shield/screen/seclang"
)

// ordered is a rule or a marker in its place.
type ordered struct {
	marker string
	parsed *seclang.Rule
}

// folder runs, while the rules are compiled, those that ask only about settings: a paranoia level's skips, defaults,
// thresholds. What is left depends on a request.
type folder struct {
	tx      map[string]string
	touched map[string]bool // names that rules left so far may set
	kept    [6][]ordered
}

// fold walks the phases in the order that they run in.
func fold(c *compiler, config Config, phases [][]ordered) *folder {
	f := &folder{tx: map[string]string{}, touched: map[string]bool{}}
	level := strconv.Itoa(config.Paranoia)
	f.tx["blocking_paranoia_level"], f.tx["detection_paranoia_level"] = level, level
	f.tx["inbound_anomaly_score_threshold"] = strconv.Itoa(config.Threshold)
	for name, value := range config.Settings {
		f.tx[strings.ToLower(name)] = value
	}
	for phase, all := range phases {
		skip := ""
		for _, o := range all {
			switch {
			case o.marker != "":
				f.kept[phase] = append(f.kept[phase], o)
				if o.marker == skip {
					skip = ""
				}
			case skip != "":
			case f.static(o.parsed):
				if f.holds(o.parsed) {
					f.apply(o.parsed)
					skip = o.parsed.SkipAfter
				}
			default:
				f.keep(phase, o)
			}
		}
	}
	_ = c
	return f
}

func (f *folder) keep(phase int, o ordered) {
	f.kept[phase] = append(f.kept[phase], o)
	for r := o.parsed; r != nil; r = r.Chain {
		for _, s := range r.Sets {
			name, _, made := strings.Cut(s.Name, "%{")
			if f.touched[name] = true; made {
				f.touched[name+"*"] = true
			}
		}
		if r.Capture {
			for i := range 10 {
				f.touched[strconv.Itoa(i)] = true
			}
		}
	}
}

// static reports whether all that a rule reads is known by now, and what it sets is set by nothing before it.
func (f *folder) static(r *seclang.Rule) bool {
	for ; r != nil; r = r.Chain {
		if len(r.Controls) > 0 || r.Skip > 0 || r.Capture || len(r.Transforms) > 0 || r.Disrupt == "deny" && !f.dead(r) {
			return false
		}
		for _, t := range r.Targets {
			if t.Name != "TX" || t.Regex || t.Key == "" || f.touched[strings.ToLower(t.Key)] {
				return false
			}
		}
		if r.Op.Name != "" && (!slices.Contains([]string{"eq", "ge", "gt", "lt", "le"}, r.Op.Name) || !f.known(r.Op.Argument)) {
			return false
		}
		for _, s := range r.Sets {
			if strings.Contains(s.Name, "%{") || f.touched[s.Name] || !f.known(s.Value) {
				return false
			}
		}
	}
	return true
}

// dead reports whether a rule that refuses can never match.
func (f *folder) dead(r *seclang.Rule) bool {
	return len(r.Targets) == 1 && r.Targets[0].Name == "TX" && !f.touched[strings.ToLower(r.Targets[0].Key)] && f.known(r.Op.Argument) && !f.holds(r)
}

// macros is what %{...} looks like.
const macros = `%\{(?:TX|tx)\.([^}]*)\}`

func (f *folder) known(s string) bool {
	rest := regexp.MustCompile(macros).ReplaceAllStringFunc(s, func(m string) string {
		name := strings.ToLower(m[5 : len(m)-1])
		if _, ok := f.tx[name]; ok && !f.touched[name] {
			return ""
		}
		return m
	})
	return !strings.Contains(rest, "%{")
}

func (f *folder) expand(s string) string {
	return regexp.MustCompile(macros).ReplaceAllStringFunc(s, func(m string) string { return f.tx[strings.ToLower(m[5:len(m)-1])] })
}

func (f *folder) holds(r *seclang.Rule) bool {
	for ; r != nil; r = r.Chain {
		if r.Op.Name == "" {
			continue
		}
		matched := false
		for _, t := range r.Targets {
			value, there := f.tx[strings.ToLower(t.Key)]
			if t.Count {
				value = "0"
				if there {
					value = "1"
				}
			} else if !there {
				continue
			}
			v, _ := strconv.Atoi(value)
			a, _ := strconv.Atoi(f.expand(r.Op.Argument))
			hit := r.Op.Name == "eq" && v == a || r.Op.Name == "ge" && v >= a || r.Op.Name == "gt" && v > a || r.Op.Name == "lt" && v < a || r.Op.Name == "le" && v <= a
			matched = matched || hit != r.Op.Negated
		}
		if !matched {
			return false
		}
	}
	return true
}

func (f *folder) apply(r *seclang.Rule) {
	for ; r != nil; r = r.Chain {
		for _, s := range r.Sets {
			value := f.expand(s.Value)
			if s.Remove {
				delete(f.tx, s.Name)
				continue
			}
			if strings.HasPrefix(value, "+") {
				old, _ := strconv.Atoi(f.tx[s.Name])
				add, _ := strconv.Atoi(value[1:])
				value = strconv.Itoa(old + add)
			}
			f.tx[s.Name] = value
		}
	}
}
