package attacks

import (
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"testing"
	"time"

	"casemate"
	"casemate/shield"
	"casemate/shield/detect"
	"casemate/shield/screen"
)

// judge is one way to look at an event; "" is clean.
type judge struct {
	name  string
	judge shield.Judge
}

var errRefused = &casemate.Error{Code: casemate.Invalid, Message: "refused"}

// judges are the detectors alone, the rule set alone, and what the product makes of them together. The first two are columns
// of a table that nothing is held to: without -v, which shows it, they are left out but of make full.
func judges(t testing.TB) []judge {
	t.Helper()
	engine, err := screen.New(screen.Config{Attacks: true})
	if err != nil {
		t.Fatal(err)
	}
	own := func(_ *casemate.Match, _ *casemate.Event, _ []casemate.Field, found []shield.Found, over error) ([]string, error) {
		sum := 0
		for _, f := range found {
			sum += f.Score
		}
		if over != nil || sum >= detect.Sure {
			return nil, errRefused
		}
		return nil, nil
	}
	rules := func(_ *casemate.Match, _ *casemate.Event, fields []casemate.Field, _ []shield.Found, _ error) ([]string, error) {
		if v := engine.Fields(fields, screen.Options{}); v.Blocked {
			return nil, errRefused
		}
		return nil, nil
	}
	product := shield.Screening{Engine: func() (*screen.Engine, error) { return engine, nil }, Now: time.Now}
	together := judge{"product", product.Judge}
	if !testing.Verbose() && os.Getenv("CASEMATE_FULL") == "" {
		return []judge{together}
	}
	return []judge{{"detectors", own}, {"rule set", rules}, together}
}

func refused(j shield.Judge, s *Source, value string) (bool, bool) {
	m, e, body, ok := s.Make(value)
	if !ok {
		return false, false
	}
	_, err := shield.Cleaner{Judge: j}.Clean(m, e, body)
	return err != nil, true
}

// tally counts by class and by half.
type tally struct{ all, hit [2]int }

func half(c *Case) int {
	if c.HeldOut() {
		return 1
	}
	return 0
}

func table(t *testing.T, title string, js []judge, rows map[string]map[string]*tally, order []string) {
	t.Helper()
	line := fmt.Sprintf("%-17s", title)
	for _, j := range js {
		line += fmt.Sprintf(" | %-22s", j.name)
	}
	t.Log(line)
	for _, class := range order {
		line := fmt.Sprintf("%-17s", class)
		for _, j := range js {
			c := rows[class][j.name]
			line += fmt.Sprintf(" | %5d/%-5d %5d/%-5d", c.hit[0], c.all[0], c.hit[1], c.all[1])
		}
		t.Log(line)
	}
}

func pick(id, nesting string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id + nesting))
	return int(h.Sum32() % uint32(n))
}

// count runs every case in every nesting, in one source each or, with CASEMATE_FULL, in all of them.
func count(t *testing.T, cases []Case, nestings []Nesting, js []judge, miss func(c *Case, nesting, source, judge string, refused bool)) (map[string]map[string]*tally, []string) {
	t.Helper()
	rows, order, sources := map[string]map[string]*tally{}, []string{"all"}, Sources()
	add := func(class, judge string, h int, hit bool) {
		if rows[class] == nil {
			rows[class] = map[string]*tally{}
			if class != "all" {
				order = append(order, class)
			}
		}
		if rows[class][judge] == nil {
			rows[class][judge] = &tally{}
		}
		rows[class][judge].all[h]++
		if hit {
			rows[class][judge].hit[h]++
		}
	}
	full := os.Getenv("CASEMATE_FULL") != ""
	for i := range cases {
		c := &cases[i]
		for _, n := range nestings {
			value, first := n.Wrap(c.Value), pick(c.ID, n.Name, len(sources))
			for k := range sources {
				s := &sources[(first+k)%len(sources)]
				ran := false
				for _, j := range js {
					hit, ok := refused(j.judge, s, value)
					if ran = ok; !ok {
						break
					}
					add(c.Class, j.name, half(c), hit)
					add("all", j.name, half(c), hit)
					miss(c, n.Name, s.Name, j.name, hit)
				}
				if ran && !full {
					break
				}
			}
		}
	}
	return rows, order
}

// Every attack goes through where nobody looks, and is refused by the shield, whatever it is wrapped in and wherever it
// comes from. The halves are: what was looked at while the shield was made, and what was not.
func TestAttacks(t *testing.T) {
	cases, err := Attacks()
	if err != nil {
		t.Fatal(err)
	}
	attacks(t, cases, []float64{0.99, 0.97})
}

func attacks(t *testing.T, cases []Case, least []float64) {
	t.Helper()
	js := judges(t)
	weak := judge{"weakened", func(*casemate.Match, *casemate.Event, []casemate.Field, []shield.Found, error) ([]string, error) {
		return nil, nil
	}}
	shown := 0
	js = append(js, weak)
	rows, order := count(t, cases, Nestings(), js, func(c *Case, nesting, source, judge string, refused bool) {
		if judge == "product" && !refused && !c.HeldOut() && shown < 200 {
			shown++
			t.Logf("missed: %s in %s, %s: %.80q", c.ID, nesting, source, c.Value)
		}
		if judge == "weakened" && refused {
			t.Errorf("%s in %s, %s is refused by form alone", c.ID, nesting, source)
		}
	})
	table(t, "refused/sent", js, rows, order)
	for h, least := range least {
		if c := rows["all"]["product"]; float64(c.hit[h]) < least*float64(c.all[h]) {
			t.Errorf("half %d: %d of %d refused; want %.0f %%", h, c.hit[h], c.all[h], 100*least)
		}
	}
}

// What looks like an attack and is none passes.
func TestBenign(t *testing.T) {
	cases, err := Benign()
	if err != nil {
		t.Fatal(err)
	}
	benign(t, cases, []float64{0.005, 0.02})
}

func benign(t *testing.T, cases []Case, most []float64) {
	t.Helper()
	nestings := slices.DeleteFunc(Nestings(), func(n Nesting) bool {
		return n.Name != "plain" && n.Name != "json" && n.Name != "base64" && n.Name != "url"
	})
	js := judges(t)
	rows, order := count(t, cases, nestings, js, func(c *Case, nesting, source, judge string, refused bool) {
		if judge == "product" && refused && !c.HeldOut() {
			t.Logf("false alarm: %s in %s, %s: %.80q", c.ID, nesting, source, c.Value)
		}
	})
	table(t, "false/sent", js, rows, order)
	for h, most := range most {
		if c := rows["all"]["product"]; float64(c.hit[h]) > most*float64(c.all[h]) {
			t.Errorf("half %d: %d of %d false alarms; want at most %.1f %%", h, c.hit[h], c.all[h], 100*most)
		}
	}
}

func TestCorpusIsWhatItSays(t *testing.T) {
	attacks, err := Attacks()
	if err != nil {
		t.Fatal(err)
	}
	benign, err := Benign()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := FreshAttacks()
	if err != nil {
		t.Fatal(err)
	}
	harmless, err := FreshBenign()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range slices.Concat(attacks, benign, fresh, harmless) {
		if seen[c.ID] || c.Class == "" || c.Value == "" {
			t.Errorf("%q is empty or stands twice", c.ID)
		}
		seen[c.ID] = true
	}
}
