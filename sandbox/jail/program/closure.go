package program

import (
	"bytes"
	"encoding/binary"
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
	if name := elfInterpreter(f, head); name != "" {
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

// Where things are in a 64-bit little-endian ELF file (elf(5)): both supported architectures have no other.
const (
	elfTable     = 32 // of program headers: where
	elfEntrySize = 54
	elfEntries   = 56
	elfHeader    = 64
	entryType    = 0
	entryOffset  = 8
	entryBytes   = 32
	elfEntry     = 56 // bytes of a program header

	typeInterpreter = 3    // PT_INTERP
	maxEntries      = 128  // a linker writes a dozen
	maxInterpreter  = 4096 // PATH_MAX
	elfMagic        = "\x7fELF\x02\x01"
)

// elfInterpreter reads PT_INTERP; "" when there is none, or no ELF file. What it reads here is not trusted: it only adds
// to what may be executed, and only files of the sandbox can be added.
func elfInterpreter(f io.ReaderAt, head []byte) string {
	le := binary.LittleEndian
	if len(head) < elfHeader || string(head[:len(elfMagic)]) != elfMagic || le.Uint16(head[elfEntrySize:]) != elfEntry {
		return ""
	}
	table := make([]byte, elfEntry*min(int(le.Uint16(head[elfEntries:])), maxEntries))
	if _, err := f.ReadAt(table, int64(le.Uint64(head[elfTable:]))); err != nil {
		return ""
	}
	for ; len(table) > 0; table = table[elfEntry:] {
		size := le.Uint64(table[entryBytes:])
		if le.Uint32(table[entryType:]) != typeInterpreter || size > maxInterpreter {
			continue
		}
		raw := make([]byte, size)
		if _, err := f.ReadAt(raw, int64(le.Uint64(table[entryOffset:]))); err != nil {
			return ""
		}
		name, _, _ := strings.Cut(string(raw), "\x00")
		if path.IsAbs(name) {
			return name
		}
	}
	return ""
}
