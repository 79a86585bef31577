package screen

import (
	"os"
	"slices"
	"testing"
)

// agreement is the share of requests on which the engine must say what Coraza says.
const agreement = 0.995

// TestAgreesWithCoraza holds promise P4: on the rule set's own regression files the same rules match, and the same
// requests are refused. In every run a sample is asked; CASEMATE_FULL asks all, at three paranoia levels.
func TestAgreesWithCoraza(t *testing.T) {
	all := stages(t)
	levels, step := []int{1}, 67
	if os.Getenv("CASEMATE_FULL") != "" {
		levels, step = []int{1, 2, 4}, 1
	}
	for _, level := range levels {
		e, err := New(Config{Paranoia: level, Answers: true})
		if err != nil {
			t.Fatal(err)
		}
		w := reference(t, level, nil, "DetectionOnly")
		n, same, verdicts, missed := 0, 0, 0, map[int]int{}
		for i := level % step; i < len(all); i += step {
			s := &all[i]
			want, refused := asked(w, &s.q, true)
			v := e.Request(&s.q, Options{})
			n++
			if v.Blocked == refused {
				verdicts++
			} else {
				t.Logf("%s: refused %v, by Coraza %v", s.name, v.Blocked, refused)
			}
			got := ids(v)
			want = slices.DeleteFunc(want, bookkeeping)
			if slices.Equal(got, want) {
				same++
				continue
			}
			t.Logf("%s: %v, by Coraza %v", s.name, got, want)
			for _, id := range want {
				if !slices.Contains(got, id) {
					missed[id]++
				}
			}
		}
		t.Logf("paranoia level %d: of %d requests the same rules on %d (%.2f %%), the same verdict on %d (%.2f %%); missed %v",
			level, n, same, 100*float64(same)/float64(n), verdicts, 100*float64(verdicts)/float64(n), missed)
		if float64(same) < agreement*float64(n) || float64(verdicts) < agreement*float64(n) {
			t.Errorf("paranoia level %d: less than %.1f %% agree", level, 100*agreement)
		}
	}
}

// TestExpectedRulesMatch asks every regression test for the rules that its authors expect, at the level where all
// rules run: some of them, or all with CASEMATE_FULL, without the reference engine.
func TestExpectedRulesMatch(t *testing.T) {
	e, err := New(Config{Paranoia: 4, Answers: true, Settings: map[string]string{"arg_length": "400", "arg_name_length": "100", "total_arg_length": "64000", "max_num_args": "255",
		"max_file_size": "64100", "combined_file_sizes": "65535", "crs_validate_utf8_encoding": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	total, met := 0, 0
	all := stages(t)
	step := 41
	if os.Getenv("CASEMATE_FULL") != "" {
		step = 1
	}
	for i := 0; i < len(all); i += step {
		s := &all[i]
		got := ids(e.Request(&s.q, Options{}))
		for _, id := range s.expect {
			if id/1000 == 980 { // phase 5 only writes a log
				continue
			}
			if total++; slices.Contains(got, id) {
				met++
			}
		}
	}
	t.Logf("%d of %d expected rules matched", met, total)
	if met < total*97/100 {
		t.Error("less than 97 % of the expected rules matched")
	}
}

func ids(v Verdict) []int {
	var out []int
	for _, m := range v.Matches {
		out = append(out, m.ID)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), bookkeeping)
}

// bookkeeping are rules that set up and add up, and find nothing.
func bookkeeping(id int) bool {
	switch id / 1000 {
	case 200, 900, 901, 949, 959, 980:
		return true
	}
	return id%1000 < 100
}
