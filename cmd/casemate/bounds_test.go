package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"casemate"
)

// eachVerb hands every verb to do.
func eachVerb(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, inner := range c.Commands() {
		eachVerb(inner, do)
	}
}

// TestEveryNumberHasBounds: a flag that takes a number or a length of time and has none would take -5m in silence. What is
// just beyond a bound is refused by the flag's name, and the bounds themselves are taken.
func TestEveryNumberHasBounds(t *testing.T) {
	seen := 0
	eachVerb((&app{}).root(), func(verb *cobra.Command) {
		verb.LocalFlags().VisitAll(func(f *pflag.Flag) {
			switch f.Value.Type() {
			case "string", "bool", "stringArray", "stringSlice":
				return
			}
			b, ok := f.Value.(*bounded)
			if !ok {
				t.Errorf("%s --%s has no bounds", verb.CommandPath(), f.Name)
				return
			}
			seen++
			text := func(n int64) string {
				if b.Type() == "duration" {
					return time.Duration(n).String()
				}
				return fmt.Sprint(n)
			}
			before := b.String()
			for _, n := range []int64{b.low - 1, b.high + 1} { // the one above no bound wraps: it is below then
				err := verb.Flags().Set(f.Name, text(n))
				if err == nil || b.String() != before {
					t.Errorf("%s --%s %s: %v, and is %s", verb.CommandPath(), f.Name, text(n), err, b)
					continue
				}
				if e := asUsage(err, verb); e.Code != casemate.Invalid || e.Field != "--"+f.Name || !strings.HasPrefix(e.Message, "must be ") || e.Hint == "" {
					t.Errorf("%s --%s %s: %+v", verb.CommandPath(), f.Name, text(n), e)
				}
			}
			for _, n := range []int64{b.low, b.high} {
				if err := verb.Flags().Set(f.Name, text(n)); err != nil {
					t.Errorf("%s --%s %s: %v", verb.CommandPath(), f.Name, text(n), err)
				}
			}
		})
	})
	if seen < 30 {
		t.Errorf("%d flags with bounds were found", seen)
	}
}

// TestOutOfBounds is what a person reads.
func TestOutOfBounds(t *testing.T) {
	for line, want := range map[string][2]string{
		"logs --since -5m":                    {"--since: must be more than 0", "only so far back: 15m, 24h"},
		"egress list --since 0":               {"--since: must be more than 0", "24h0m0s where the flag is left out"},
		"policy unused --since=-1h":           {"--since: must be more than 0", "24h"},
		"audit list -n 0":                     {"--limit: must be from 1 to 10000", "50 where"},
		"contract learn x --for 169h":         {"--for: must be more than 0 and at most 168h", "a week at most"},
		"up --session-idle 30s":               {"--session-idle: must be from 1m to 12h", "30m0s where"},
		"up --source-streams 999999999999999": {"--source-streams: must be from 1 to 1073741824", "2048 where"},
		"rollback shop --to -1":               {"--to: must be at least 1", "the one before"},
		"deploy --expect -1":                  {"--expect: must be at least 0", "generation"},
	} {
		var errs strings.Builder
		if code := run(t.Context(), append([]string{"--dir", t.TempDir()}, strings.Fields(line)...), strings.NewReader(""), io.Discard, &errs); code != casemate.Invalid.Exit() {
			t.Errorf("%s: exit code %d", line, code)
		}
		if said := errs.String(); !strings.Contains(said, want[0]+"\n") || !strings.Contains(said, want[1]) {
			t.Errorf("%s: %s", line, said)
		}
	}
}
