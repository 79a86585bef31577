package main

import (
	"io"
	"strings"
	"testing"

	"casemate"
)

// A mistyped verb that exits 0 looks to a script as if it had been done.
func TestMistypedVerbsAreRefused(t *testing.T) {
	for _, c := range []struct {
		args, says string
		code       int
	}{{"secret delte x", "casemate secret delete?", casemate.Invalid.Exit()}, {"audit zzzzzz", "audit --help", casemate.Invalid.Exit()}, {"keys", "", 0},
		{"egress --help", "", 0}, {"inspect", "casemate inspect FUNCTION", casemate.Invalid.Exit()}, {"secret set db/password hunter2", "shell's history", casemate.Invalid.Exit()}} {
		var errs strings.Builder
		code := run(t.Context(), strings.Fields(c.args), strings.NewReader(""), io.Discard, &errs)
		if code != c.code || !strings.Contains(errs.String(), c.says) || strings.Contains(errs.String(), "hunter2") {
			t.Errorf("%s: %d, %s", c.args, code, errs.String())
		}
	}
}
