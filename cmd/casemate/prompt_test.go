package main

import (
	"strings"
	"testing"
)

// TestNoPasswordIsNoGuess: an empty input is not sent, where it would count as a failed sign-in.
func TestNoPasswordIsNoGuess(t *testing.T) {
	for in, want := range map[string]string{"": "", "secret\n": "secret", "secret": "secret", "secret\r\nmore": "secret"} {
		a := &app{in: strings.NewReader(in)}
		if got, err := a.prompt("current password", true); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if got, err := (&app{in: strings.NewReader("")}).prompt("code", true); got != "" || err != nil {
		t.Errorf("no second factor yet: %q, %v", got, err)
	}
}
