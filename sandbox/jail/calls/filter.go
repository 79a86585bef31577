// Package calls says which system calls a jailed program may make: allow-lists as data, a reason a line, compiled to a
// seccomp filter.
package calls

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
	action action
	errno  uint32 // answerErrno and refuse
	unless int    // notify: the argument that is null when there is no address; -1 when there is none
	conds  []cond // all must hold, else the next line of the same call is tried
	reason string
}

// action is what becomes of a call.
type action string

const (
	allow       action = "allow"
	answerErrno action = "errno"  // refused, not worth a record
	notify      action = "notify" // the node looks at it first
	refuse      action = "refuse" // refused, and the node is told
)

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

// Options choose between the forms of a profile.
type Options struct {
	Notify   bool // a notifier is there; without one what should be looked at passes and what should be told is only refused
	Children bool // more than one program may be executed; see profiles/children.txt
	Trace    bool // for tests: the notifier hears of every call that is allowed, as one of that name which Traced is set for
}

// Filter is a compiled profile.
type Filter struct {
	Code     []byte // in the kernel's own layout
	Notifies bool
	Calls    map[int32]Call // those that the notifier hears of, by number
}

// Call is what to do with a call that the notifier hears of.
type Call struct {
	Name  string
	Errno uint16 // of the refusal; 0 where it depends on what the call wants
	// Traced says that the call is allowed and that somebody wants to know who makes it.
	Traced bool
}

// Compile makes the filter of a profile for the machine that this runs on.
func Compile(profile string, o Options) (Filter, error) {
	rules, err := readProfile(profile, 0)
	if err == nil && (o.Children || !o.Notify) {
		rules, err = override(rules, "children")
	}
	if err != nil {
		return Filter{}, err
	}
	numbers, err := readNumbers(runtime.GOARCH)
	if err != nil {
		return Filter{}, err
	}
	f := Filter{Calls: map[int32]Call{}}
	if o.Trace {
		trace(rules, numbers, f.Calls)
	}
	prog := search(entries(rules, numbers, o.Notify, f.Calls))
	f.Notifies = len(f.Calls) > 0
	prog = slices.Concat(head(), prog)
	if !walls.Up {
		prog, f.Notifies = []bpf.Instruction{bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}}, false
	}
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return Filter{}, fmt.Errorf("assembling profile %s: %w", profile, err)
	}
	var out bytes.Buffer
	err = binary.Write(&out, binary.NativeEndian, raw)
	f.Code = out.Bytes()
	return f, err
}

// trace lets the notifier hear of calls that are allowed: of all but those that a stage makes before anybody answers it.
func trace(rules []rule, numbers map[string]uint32, heard map[int32]Call) {
	for k, r := range rules {
		nr, ok := numbers[r.name]
		if ok && r.action == allow && r.name != "read" && r.name != "write" && r.name != "exit_group" {
			rules[k].action, rules[k].unless = notify, -1
			heard[int32(nr)] = Call{Name: r.name, Traced: true}
		}
	}
}

// Allowed lists the calls that a profile lets pass without a look, whatever conditions it has for them.
func Allowed(profile string) ([]string, error) {
	rules, err := readProfile(profile, 0)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range rules {
		if r.action == allow && !slices.Contains(names, r.name) {
			names = append(names, r.name)
		}
	}
	return names, nil
}

// override puts the lines of another profile in the place of those for the same calls.
func override(rules []rule, name string) ([]rule, error) {
	stricter, err := readProfile(name, 0)
	if err != nil {
		return nil, err
	}
	replaced := map[string]bool{}
	for _, r := range stricter {
		replaced[r.name] = true
	}
	known := map[string]bool{}
	rules = slices.DeleteFunc(slices.Clone(rules), func(r rule) bool {
		known[r.name] = true
		return replaced[r.name]
	})
	for _, r := range stricter {
		if known[r.name] { // it takes away, it never gives
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// head ends what comes from another architecture, and finds the call's number.
func head() []bpf.Instruction {
	arch := uint32(unix.AUDIT_ARCH_X86_64)
	if runtime.GOARCH == "arm64" {
		arch = unix.AUDIT_ARCH_AARCH64
	}
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: offsetNr, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32Bit, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	}
}

// entry is the code of one call.
type entry struct {
	nr    uint32
	block []bpf.Instruction
}

// entries makes the code of every call on the list, in order of their numbers, and notes which ones notify.
func entries(rules []rule, numbers map[string]uint32, notifier bool, heard map[int32]Call) []entry {
	blocks := map[uint32][]bpf.Instruction{}
	for _, r := range rules {
		nr, ok := numbers[r.name]
		if !ok { // a call that this architecture does not have
			continue
		}
		blocks[nr] = append(blocks[nr], r.block(notifier)...)
		if notifier && (r.action == notify || r.action == refuse) && !heard[int32(nr)].Traced {
			heard[int32(nr)] = Call{Name: r.name, Errno: uint16(r.errno)}
		}
	}
	list := make([]entry, 0, len(blocks))
	for nr, block := range blocks {
		list = append(list, entry{nr, append(block, bpf.RetConstant{Val: denied})})
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.nr, b.nr) })
	return list
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

// block is the rule's code. It falls through to what follows it when a condition does not hold.
func (r rule) block(notifier bool) []bpf.Instruction {
	b := r.verdict(notifier)
	for _, c := range slices.Backward(r.conds) {
		b = append(c.check(len(b)), b...)
	}
	return b
}

func (r rule) verdict(notifier bool) []bpf.Instruction {
	pass, tell := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}, bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF}
	switch {
	case r.action == answerErrno || r.action == refuse && !notifier:
		return []bpf.Instruction{bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | r.errno}}
	case r.action == allow || !notifier:
		return []bpf.Instruction{pass}
	case r.unless < 0:
		return []bpf.Instruction{tell}
	}
	off := uint32(offsetArgs + 8*r.unless)
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: off, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 3},
		bpf.LoadAbsolute{Off: off + 4, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: 1},
		pass,
		tell,
	}
}

// check goes on when the condition holds and skips what follows when it does not. Both supported architectures are
// little-endian: the low half comes first.
func (c cond) check(skip int) []bpf.Instruction {
	b := []bpf.Instruction{bpf.LoadAbsolute{Off: uint32(offsetArgs + 8*c.arg), Size: 4}}
	if c.clear {
		return append(b, bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: c.mask, SkipTrue: uint8(skip)})
	}
	if c.mask != ^uint32(0) {
		b = append(b, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: c.mask})
	}
	for i, v := range c.in {
		b = append(b, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(c.in) - i)})
	}
	return append(b, bpf.Jump{Skip: uint32(skip)})
}

// Numbers are the system calls of the machine that this runs on, as far as the profiles' table knows them.
func Numbers() (map[string]uint32, error) { return readNumbers(runtime.GOARCH) }

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

// errnos are those that a profile may answer.
var errnos = map[string]uint32{"EPERM": uint32(unix.EPERM), "ENOSYS": uint32(unix.ENOSYS), "EPROTONOSUPPORT": uint32(unix.EPROTONOSUPPORT)}

// parseRule reads one line; the grammar is at the head of profiles/base.txt.
func parseRule(fields []string) (rule, error) {
	r := rule{name: fields[0], action: allow, unless: -1}
	rest := fields[1:]
	bad := fmt.Errorf("rule %q", strings.Join(rest, " "))
	if len(rest) == 0 {
		return r, nil
	}
	var err error
	switch action(rest[0]) {
	case answerErrno, refuse:
		r.action = action(rest[0])
		name := "EPERM"
		if rest = rest[1:]; len(rest) > 0 && rest[0] != "when" {
			name, rest = rest[0], rest[1:]
		} else if r.action == answerErrno {
			return r, bad
		}
		if r.errno = errnos[name]; r.errno == 0 {
			return r, bad
		}
	case notify:
		r.action, rest = notify, rest[1:]
		if len(rest) == 3 && rest[0] == "unless" && rest[2] == "null" {
			r.unless, err = parseArg(rest[1])
			return r, err
		}
	}
	if len(rest) == 0 {
		return r, nil
	}
	if rest[0] != "when" {
		return r, bad
	}
	for _, part := range strings.Split(strings.Join(rest[1:], " "), " and ") {
		c, err := parseCond(strings.Fields(part))
		if err != nil {
			return r, err
		}
		r.conds = append(r.conds, c)
	}
	return r, nil
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
