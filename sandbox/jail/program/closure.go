package program

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// Set is what may be executed in a jail, by path inside with links resolved.
type Set struct {
	Files   []string // everything that the kernel opens to execute something
	Started []string // those of Files that a program starts by name; an interpreter is not one
	Becomes bool     // a program is meant to start another: an interpreter behind env
}

// maxDepth of interpreters behind each other; the kernel gives up after five (fs/exec.c, exec_binprm).
const maxDepth = 5

// searched is where env(1) of a script's first line looks for its interpreter.
var searched = []string{"/usr/local/bin", "/usr/bin", "/bin"}

// Closure adds a program and everything that the kernel opens to execute it: the ELF interpreter, a script's interpreter.
// An interpreter that is not there is left out: executing it fails.
func (s *Set) Closure(v View, inside string) error { return s.add(v, inside, true, 0) }

func (s *Set) add(v View, inside string, started bool, depth int) error {
	real, host, err := v.Resolve(inside)
	if err != nil {
		return err
	}
	if started && !slices.Contains(s.Started, real) {
		s.Started = append(s.Started, real)
	}
	if slices.Contains(s.Files, real) || depth > maxDepth {
		return nil
	}
	s.Files = append(s.Files, real)
	interpreters, behindEnv, err := interpreters(v, host)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", inside, err)
	}
	s.Becomes = s.Becomes || behindEnv
	for k, i := range interpreters {
		if err := s.add(v, i, behindEnv && k > 0, depth+1); err != nil && !errors.Is(err, ErrNotThere) {
			return err
		}
	}
	return nil
}

// interpreters names what a file of the host needs to be executed, as paths inside.
func interpreters(v View, host string) (names []string, behindEnv bool, err error) {
	f, err := os.Open(host)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	head := make([]byte, 256) // BINPRM_BUF_SIZE
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	head = head[:n]
	if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		names, behindEnv = script(v, string(line))
		return names, behindEnv, nil
	}
	if name := elfInterpreter(f); name != "" {
		return []string{name}, false, nil
	}
	return nil, false, nil
}

// script reads the first line of a script, without its "#!" (execve(2), "Interpreter scripts").
func script(v View, line string) (names []string, behindEnv bool) {
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	if len(words) == 0 || !path.IsAbs(words[0]) {
		return nil, false
	}
	names = words[:1]
	if path.Base(words[0]) != "env" {
		return names, false
	}
	for _, word := range words[1:] {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue
		}
		for _, dir := range searched {
			if _, _, err := v.Resolve(path.Join(dir, word)); err == nil {
				return append(names, path.Join(dir, word)), true
			}
		}
		break
	}
	return names, false
}

// maxInterpreter is the longest name that the kernel takes (PATH_MAX).
const maxInterpreter = 4096

// elfInterpreter reads PT_INTERP; "" when there is none, or no ELF file. What it reads here is not trusted: it only adds
// to what may be executed, and only files of the sandbox can be added.
func elfInterpreter(f io.ReaderAt) string {
	e, err := elf.NewFile(f)
	if err != nil {
		return ""
	}
	for _, p := range e.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > maxInterpreter {
			continue
		}
		raw := make([]byte, p.Filesz)
		if _, err := p.ReadAt(raw, 0); err != nil {
			return ""
		}
		name, _, _ := strings.Cut(string(raw), "\x00")
		if path.IsAbs(name) {
			return name
		}
	}
	return ""
}
