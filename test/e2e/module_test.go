package e2e

import (
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"

	"casemate/internal/casetest/guests"
)

// module writes a WebAssembly module that ends in one way: module trap|exit FILE, module say|moan TEXT FILE (an answer, a log line).
func module(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: module trap|exit|say|moan [TEXT] FILE")
	}
	var code []byte
	switch args[0] {
	case "trap":
		code = guests.Trap()
	case "exit":
		code = guests.Exit(3)
	case "say":
		code = guests.Say(args[1], 1)
	case "moan":
		code = guests.Say(args[1], 2)
	default:
		ts.Fatalf("no module ends by %s", args[0])
	}
	file := ts.MkAbs(args[len(args)-1])
	ts.Check(os.MkdirAll(filepath.Dir(file), 0o755))
	ts.Check(os.WriteFile(file, code, 0o644))
}
