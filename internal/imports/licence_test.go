package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// licences are the texts that may stand in the product, by a phrase that only they have.
var licences = map[string]*regexp.Regexp{
	"Apache-2.0": regexp.MustCompile(`Apache License\s+Version 2\.0`),
	"MIT":        regexp.MustCompile(`Permission is hereby granted, free of charge`),
	"BSD":        regexp.MustCompile(`Redistribution and use in source and binary forms`),
	"ISC":        regexp.MustCompile(`Permission to use, copy, modify, and(/or)? distribute this software`),
}

// barred are phrases of licences that may not, wherever they stand beside an allowed one.
var barred = regexp.MustCompile(`GNU (AFFERO |LESSER )?GENERAL PUBLIC LICENSE|Business Source License|Server Side Public License|Commons Clause`)

// dual names modules that offer a choice, and the licence we take.
var dual = map[string]string{"kernel.org/pub/linux/libs/security/libcap/psx": "BSD"}

// TestDependencyLicences looks at every module that is linked into the binary.
func TestDependencyLicences(t *testing.T) {
	if _, err := os.Stat("../../cmd/casemate"); err != nil {
		t.Skip("there is no binary to look at")
	}
	cmd := exec.Command("go", "list", "-deps", "-json=Module", "./cmd/casemate")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing dependencies: %v", err)
	}
	seen := map[string]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Module *struct {
				Path, Dir string
				Main      bool
			}
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module != nil && !p.Module.Main {
			seen[p.Module.Path] = p.Module.Dir
		}
	}
	if len(seen) < 5 {
		t.Fatalf("only %d modules: the list cannot be right", len(seen))
	}
	for path, dir := range seen {
		if got := licenceOf(dir, path); got == "" {
			t.Errorf("%s: no licence of the allow-list", path)
		}
	}
}

func licenceOf(dir, path string) string {
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		name := strings.ToUpper(filepath.Base(f))
		if !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil || barred.Match(text) && dual[path] == "" {
			continue
		}
		for name, mark := range licences {
			if mark.Match(text) && (dual[path] == "" || dual[path] == name) {
				return name
			}
		}
	}
	return ""
}

func TestLicenceCheckCanFail(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"permissive": {"Permission is hereby granted, free of charge, to any person", "MIT"},
		"copyleft":   {"GNU AFFERO GENERAL PUBLIC LICENSE ... Redistribution and use in source and binary forms", ""},
		"unknown":    {"all rights reserved", ""},
	} {
		if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := licenceOf(dir, "example.org/x"); got != c.want {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
