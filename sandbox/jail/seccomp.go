package jail

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"casemate/internal/walls"
)

// profiles are the allow-lists, and the kernel's call numbers per architecture.
//
//go:embed profiles
var profiles embed.FS

// rule is one line of a profile.
type rule struct {
	name   string
	action string // "allow", "errno", "notify"
	unless int    // notify: the argument that is null when there is no address; -1 when there is none
	conds  []cond
	reason string
}

// cond is one condition over the low half of an argument: all those used are 32-bit in the kernel.
type cond struct {
	arg   int
	mask  uint32   // taken first
	clear bool     // want no bit of mask
	in    []uint32 // else want one of these
}

// Offsets and values of struct seccomp_data (linux/seccomp.h).
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
	x32Bit     = 0x40000000
)

// compileProfile makes the filter of a profile. notify false lets the notifying calls pass unseen.
func compileProfile(name string, notify bool) (filter []byte, notifies bool, err error) {
	rules, err := readProfile(name, 0)
	if err != nil {
		return nil, false, err
	}
	numbers, err := readNumbers(runtime.GOARCH)
	if err != nil {
		return nil, false, err
	}
	arch := uint32(unix.AUDIT_ARCH_X86_64)
	if runtime.GOARCH == "arm64" {
		arch = unix.AUDIT_ARCH_AARCH64
	}
	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: offsetNr, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32Bit, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	}
	var entries []entry
	for _, r := range rules {
		if nr, ok := numbers[r.name]; ok { // else a call that this architecture does not have
			notifies = notifies || notify && r.action == "notify"
			entries = append(entries, entry{nr, r.block(notify)})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.nr, b.nr) })
	prog = append(prog, search(entries)...)
	if !walls.Up {
		prog, notifies = []bpf.Instruction{bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}}, false
	}
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return nil, false, fmt.Errorf("assembling profile %s: %w", name, err)
	}
	var out bytes.Buffer
	err = binary.Write(&out, binary.NativeEndian, raw)
	return out.Bytes(), notifies, err
}

// entry is the code of one call.
type entry struct {
	nr    uint32
	block []bpf.Instruction
}

// search finds the entry of a call by halving, and denies the call when there is none. The kernel runs a new filter
// over every call number once, so a chain of comparisons would cost each start some 0.3 ms.
func search(entries []entry) []bpf.Instruction {
	const few = 4
	if len(entries) > few {
		half := len(entries) / 2
		low, high := search(entries[:half]), search(entries[half:])
		return slices.Concat([]bpf.Instruction{
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: entries[half].nr, SkipTrue: 1},
			bpf.Jump{Skip: uint32(len(low))},
		}, low, high)
	}
	var prog []bpf.Instruction
	for _, e := range entries {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: e.nr, SkipFalse: uint8(len(e.block))})
		prog = append(prog, e.block...)
	}
	return append(prog, bpf.RetConstant{Val: denied})
}

// denied is what a call that is not on the list answers.
const denied = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// block is the rule's code; it always ends in a return.
func (r rule) block(notify bool) []bpf.Instruction {
	const allow = uint32(unix.SECCOMP_RET_ALLOW)
	var b []bpf.Instruction
	for _, c := range r.conds {
		b = append(b, c.check()...)
	}
	switch {
	case r.action == "errno":
		return append(b, bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	case r.action == "notify" && notify && r.unless >= 0:
		off := uint32(offsetArgs + 8*r.unless)
		return append(b,
			bpf.LoadAbsolute{Off: off, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 3},
			bpf.LoadAbsolute{Off: off + 4, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 1},
			bpf.RetConstant{Val: allow},
			bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF})
	case r.action == "notify" && notify:
		return append(b, bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF})
	}
	return append(b, bpf.RetConstant{Val: allow})
}

// check falls through when the condition holds and returns a denial when it does not. Both supported architectures are
// little-endian: the low half comes first.
func (c cond) check() []bpf.Instruction {
	b := []bpf.Instruction{bpf.LoadAbsolute{Off: uint32(offsetArgs + 8*c.arg), Size: 4}}
	if c.clear {
		return append(b, bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: c.mask, SkipFalse: 1}, bpf.RetConstant{Val: denied})
	}
	if c.mask != ^uint32(0) {
		b = append(b, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: c.mask})
	}
	for i, v := range c.in {
		b = append(b, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(c.in) - i)})
	}
	return append(b, bpf.RetConstant{Val: denied})
}

// readNumbers reads the call numbers of an architecture.
func readNumbers(arch string) (map[string]uint32, error) {
	data, err := profiles.ReadFile("profiles/" + arch + ".tbl")
	if err != nil {
		return nil, fmt.Errorf("system calls of %s: %w", arch, err)
	}
	numbers := make(map[string]uint32, 400)
	for line := range strings.Lines(string(data)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("system calls of %s: line %q", arch, line)
		}
		numbers[name] = uint32(n)
	}
	return numbers, nil
}

// readProfile reads a profile and what it includes.
func readProfile(name string, depth int) ([]rule, error) {
	data, err := profiles.ReadFile("profiles/" + name + ".txt")
	if err != nil || depth > 4 || strings.ContainsAny(name, "/.") {
		return nil, fmt.Errorf("no system call profile %q", name)
	}
	var rules []rule
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		text, reason, _ := strings.Cut(line, "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if included, ok := strings.CutPrefix(fields[0], "@"); ok {
			more, err := readProfile(included, depth+1)
			if err != nil {
				return nil, err
			}
			rules = append(rules, more...)
			continue
		}
		r, err := parseRule(fields)
		if err != nil {
			return nil, fmt.Errorf("profile %s, line %d: %w", name, n, err)
		}
		r.reason = strings.TrimSpace(reason)
		rules = append(rules, r)
	}
	return rules, nil
}

// parseRule reads one line; the grammar is at the head of profiles/base.txt.
func parseRule(fields []string) (rule, error) {
	r := rule{name: fields[0], action: "allow", unless: -1}
	rest := fields[1:]
	switch {
	case len(rest) == 0:
		return r, nil
	case rest[0] == "errno" && len(rest) == 2 && rest[1] == "ENOSYS":
		r.action = "errno"
		return r, nil
	case rest[0] == "notify" && len(rest) == 1:
		r.action = "notify"
		return r, nil
	case rest[0] == "notify" && len(rest) == 4 && rest[1] == "unless" && rest[3] == "null":
		r.action = "notify"
		var err error
		r.unless, err = parseArg(rest[2])
		return r, err
	case rest[0] == "when":
		for _, part := range strings.Split(strings.Join(rest[1:], " "), " and ") {
			c, err := parseCond(strings.Fields(part))
			if err != nil {
				return r, err
			}
			r.conds = append(r.conds, c)
		}
		return r, nil
	}
	return r, fmt.Errorf("rule %q", strings.Join(rest, " "))
}

func parseArg(text string) (int, error) {
	digit, ok := strings.CutPrefix(text, "arg")
	n, err := strconv.Atoi(digit)
	if !ok || err != nil || n < 0 || n > 5 {
		return 0, fmt.Errorf("argument %q: want arg0 to arg5", text)
	}
	return n, nil
}

// parseCond reads "argN in V...", "argN & MASK in V..." or "argN clear MASK".
func parseCond(f []string) (cond, error) {
	bad := fmt.Errorf("condition %q", strings.Join(f, " "))
	if len(f) < 3 {
		return cond{}, bad
	}
	c := cond{mask: ^uint32(0)}
	var err error
	if c.arg, err = parseArg(f[0]); err != nil {
		return c, err
	}
	var values []uint32
	for _, text := range f[1:] {
		if v, err := strconv.ParseUint(text, 0, 32); err == nil {
			values = append(values, uint32(v))
		}
	}
	switch {
	case f[1] == "clear" && len(f) == 3 && len(values) == 1:
		c.clear, c.mask = true, values[0]
	case f[1] == "in" && len(values) == len(f)-2:
		c.in = values
	case f[1] == "&" && len(f) >= 5 && f[3] == "in" && len(values) == len(f)-3:
		c.mask, c.in = values[0], values[1:]
	default:
		return c, bad
	}
	return c, nil
}
