package e2e

import (
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// exit holds a program to its exit status: "exit STATUS PROGRAM ARGS".
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit STATUS PROGRAM ARGS")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		got = failed.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s ended with %d, not %d", strings.Join(args[1:], " "), got, want)
	}
}

func help(t *testing.T, verb []string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(shared.bin, "casemate"), append(verb, "--help")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", verb, err, out)
	}
	return string(out)
}

func section(text, name string) string {
	_, rest, _ := strings.Cut(text, "\n"+name+":\n")
	rest, _, _ = strings.Cut(rest, "\n\n")
	return rest
}

// TestEveryVerbHelps walks all verbs: each says what it does, shows how by an example or a described flag, and refuses
// what it does not know with a hint.
func TestEveryVerbHelps(t *testing.T) {
	described := regexp.MustCompile(`(?m)^ +(-\w, )?--[a-z-]+( \w+)?  +\S`)
	seen := 0
	var walk func(verb []string)
	walk = func(verb []string) {
		text := help(t, verb)
		verbs := section(text, "Available Commands")
		if strings.HasPrefix(strings.Join(verb, " "), "completion") {
			return // cobra's own
		}
		seen++
		usage := section(text, "Usage")
		if verbs == "" && section(text, "Examples") == "" && len(described.FindAllString(section(text, "Flags"), -1)) < 2 && !regexp.MustCompile(`[A-Z]{2,}`).MatchString(usage) {
			t.Errorf("%v has neither an example, nor a flag, nor an argument to tell it by:\n%s", verb, text)
		}
		if len(verb) > 0 {
			refusesUnknown(t, verb)
		}
		for line := range strings.Lines(verbs) {
			if name := strings.Fields(line); len(name) > 0 && name[0] != "help" {
				walk(append(append([]string(nil), verb...), name[0]))
			}
		}
	}
	walk(nil)
	if seen < 20 {
		t.Errorf("only %d verbs were found", seen)
	}
	refusesUnknown(t, []string{"teleport"})
}

func refusesUnknown(t *testing.T, verb []string) {
	t.Helper()
	out, err := exec.Command(filepath.Join(shared.bin, "casemate"), append(verb, "--no-such-flag")...).CombinedOutput()
	var failed *exec.ExitError
	if !errors.As(err, &failed) || failed.ExitCode() != 65 || !strings.Contains(string(out), "hint: ") {
		t.Errorf("%v --no-such-flag: %v\n%s", verb, err, out)
	}
}
