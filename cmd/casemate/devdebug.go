package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"casemate"
	"casemate/deploy/manifest"
	"casemate/node"
)

// The ports that debuggers of Node and Python look at by themselves.
var usualPort = map[string]string{"nodejs": "9229", "python": "5678"}

// debuggers reads --inspect: FUNCTION, FUNCTION:PORT, or :PORT and PORT where there is one function to debug.
func (l *loop) debuggers() ([]node.Debug, error) {
	if len(l.inspect) == 0 {
		return nil, nil
	}
	m, err := l.manifest()
	if err != nil {
		return nil, asInvalid(err)
	}
	var can []string
	for _, name := range slices.Sorted(maps.Keys(m.Functions)) {
		if usualPort[family(m.Functions[name])] != "" {
			can = append(can, name)
		}
	}
	bad := func(message string) ([]node.Debug, error) {
		hint := "no function of " + m.App + " runs on Node or Python"
		if len(can) > 0 {
			hint = "--inspect " + can[0] + ", --inspect " + can[0] + ":9230; with Node or Python: " + strings.Join(can, ", ")
		}
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "--inspect", Message: message, Hint: hint}
	}
	var list []node.Debug
	for _, text := range l.inspect {
		name, port, colon := strings.Cut(text, ":")
		if _, err := strconv.Atoi(name); err == nil && !colon {
			name, port = "", name
		}
		if name == "" && len(can) == 1 {
			name = can[0]
		}
		f := m.Functions[name]
		switch {
		case name == "":
			return bad("which function?")
		case f == nil:
			return bad(fmt.Sprintf("there is no function %q", name))
		case usualPort[family(f)] == "":
			return bad(fmt.Sprintf("%s runs on %s, which has no debugger here", name, f.Runtime))
		case slices.ContainsFunc(list, func(d node.Debug) bool { return d.Function == name }):
			return bad(name + " is named twice")
		case port == "" && !colon:
			port = usualPort[family(f)]
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil {
			return bad(fmt.Sprintf("%q is no port", port))
		} else {
			list = append(list, node.Debug{Function: name, Address: fmt.Sprintf("127.0.0.1:%d", n)})
		}
	}
	return list, nil
}

func family(f *manifest.Function) string { return casemate.Runtime(f.Runtime).Family() }

// sayDebuggers tells where debuggers connect, and what is otherwise while they may.
func (l *loop) sayDebuggers() error {
	if len(l.address.Debug) == 0 {
		return nil
	}
	m, err := l.manifest()
	if err != nil {
		return asInvalid(err)
	}
	for _, d := range l.address.Debug {
		f := m.Functions[d.Function]
		if f == nil {
			continue
		}
		code, err := filepath.Abs(filepath.Join(l.dir, f.Code))
		if err != nil {
			return fmt.Errorf("finding the code: %w", err)
		}
		_, port, _ := strings.Cut(d.Address, ":")
		how := "node inspect " + d.Address + ", chrome://inspect, or VS Code: attach to port " + port
		if family(f) == "python" {
			how = "VS Code: attach to port " + port + " where the code brings debugpy; without it, breakpoint() in the code and: nc 127.0.0.1 " + port
		}
		text := fmt.Sprintf("debug %s: %s\n  localRoot %s, remoteRoot /var/task; a new version is a new process: attach again\n"+
			"  its events share one sandbox meanwhile, one after the other, and no deadline below an hour runs", d.Function, how, code)
		l.feed.Say("debugger", map[string]any{"function": d.Function, "address": d.Address, "local_root": code, "remote_root": "/var/task"}, printableLines(text))
	}
	return nil
}
