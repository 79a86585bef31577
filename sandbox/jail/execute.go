package jail

import (
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// programs are the files that may be executed after the first program, by their path inside, links resolved. nil: none.
type programs map[string]bool

// becomes says whether anything may be executed after the first program.
func (s *Spec) becomes() bool { return s.programs != nil }

// execute decides on an execve. The first one is the stage's, which had no other code in its memory; it is let through.
// Later ones are refused without a look, unless the spec lists programs: then the path decides what is recorded and
// answered, and Landlock, by the files themselves, what really runs.
func (w *watcher) execute(n *notification) unix.Errno {
	if !w.begun {
		w.begun = true
		return 0
	}
	target := w.text(n, n.args[0])
	if w.programs == nil {
		w.onCall(Call{Name: "execve", Target: target})
		return unix.EPERM
	}
	root := "/proc/" + strconv.Itoa(int(n.pid)) + "/root"
	var st unix.Stat_t
	if path.IsAbs(target) && unix.Lstat(root+path.Clean(target), &st) == unix.ENOENT {
		return 0 // a search along PATH; the kernel says so itself
	}
	allowed := w.programs[target]
	w.onCall(Call{Name: "execve", Target: target, Allowed: allowed})
	if !allowed {
		return unix.EACCES
	}
	return 0
}
