package calls

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// meant is what the lines of a profile say about a call, read one by one: what the compiled filter is held against.
func meant(rules []rule, name string, args []uint64) string {
	for _, r := range rules {
		if r.name != name || !holds(r.conds, args) {
			continue
		}
		switch r.action {
		case allow:
			return "allow"
		case answerErrno:
			return map[uint32]string{uint32(unix.EPERM): "deny", uint32(unix.ENOSYS): "nosys", uint32(unix.EPROTONOSUPPORT): "noproto"}[r.errno]
		case notify:
			if r.unless >= 0 && args[r.unless] == 0 {
				return "allow"
			}
		}
		return "notify"
	}
	return "deny"
}

func holds(conds []cond, args []uint64) bool {
	for _, c := range conds {
		low := uint32(args[c.arg])
		if c.clear && low&c.mask != 0 || !c.clear && !slices.Contains(c.in, low&c.mask) {
			return false
		}
	}
	return true
}

// TestFilterMeansItsProfile: whatever a program calls, the filter answers what the lines say. Arguments are drawn near the
// values that the lines name, with rubbish in the half that the kernel does not look at.
func TestFilterMeansItsProfile(t *testing.T) {
	for _, profile := range []string{"node", "python", "provided", "wasm"} {
		rules, err := readProfile(profile, 0)
		if err != nil {
			t.Fatal(err)
		}
		m := newMachine(t, profile, true)
		names := []string{}
		near := []uint32{0, 1, 2, 1 << 31, ^uint32(0)}
		for name := range m.nr {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, r := range rules {
			for _, c := range r.conds {
				near = append(near, c.mask)
				near = append(near, c.in...)
			}
		}
		rapid.Check(t, func(rt *rapid.T) {
			args := make([]uint64, 6)
			for i := range args {
				args[i] = uint64(rapid.SampledFrom(near).Draw(rt, "near"))
				if rapid.Bool().Draw(rt, "off") {
					args[i] ^= 1 << rapid.IntRange(0, 63).Draw(rt, "bit")
				}
			}
			for _, name := range names {
				if got, want := m.call(name, args...), meant(rules, name, args); got != want {
					rt.Fatalf("%s: %s%x is %s, want %s", profile, name, args, got, want)
				}
			}
		})
	}
}
