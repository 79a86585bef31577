package jail

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"casemate/sandbox/jail/program"
	"casemate/sandbox/jail/stage"
)

// programs are the files that may be executed after the first program. nil: none.
type programs struct {
	view  program.View
	files map[string]bool // by path inside, links resolved; not their interpreters
	loose []string        // directories whose content the program can change
}

// changes says whether a path lies where the program can make files appear.
func (p *programs) changes(inside string) bool {
	for _, dir := range p.loose {
		if inside == dir || strings.HasPrefix(inside, dir+"/") {
			return true
		}
	}
	return false
}

// becomes says whether anything may be executed after the first program.
func (s *Spec) becomes() bool { return s.programs != nil }

// admit finds every file that the jail may execute and puts it into the order: the program and its interpreters, what it
// wraps, its children. mounts are all that the jail has. A program that is not there is no error here: its exec says so.
func (l *launcher) admit(s *Spec, o *stage.Order, mounts []Mount) error {
	if s.wait {
		return nil // its program is not known yet
	}
	view := program.View{Links: s.Symlinks}
	loose := []string{"/tmp", "/proc", "/dev"}
	for _, m := range mounts {
		if m.Writable {
			loose = append(loose, m.Target)
		}
		view.Mounts = append(view.Mounts, program.Mount{Source: m.Source, Target: m.Target})
	}
	var set program.Set
	for _, name := range append([]string{s.Argv[0], s.Wrapped}, s.Own...) {
		if name == "" {
			continue
		}
		if err := set.Closure(view, name); err != nil && !errors.Is(err, program.ErrNotThere) {
			return err
		}
	}
	pins := map[string]program.Identity{}
	for _, c := range s.Children {
		if !cleanPath(c.Path) {
			return fmt.Errorf("program %q: want an absolute clean path", c.Path)
		}
		real, host, err := view.Resolve(c.Path)
		if err != nil {
			return err
		}
		if pins[real], err = l.digests.Check(c.Path, host, c.SHA256); err != nil {
			return err
		}
		if err := set.Closure(view, c.Path); err != nil {
			return err
		}
	}
	files := map[string]bool{}
	for _, file := range set.Files {
		p := stage.Program{Path: file}
		if id, ok := pins[file]; ok {
			p = stage.Program{Path: file, Pinned: true, Device: int64(id.Device), Inode: int64(id.Inode), Size: id.Size, Changed: id.Changed}
		}
		o.Programs = append(o.Programs, p)
	}
	for _, file := range set.Started {
		files[file] = true
	}
	if s.programs = nil; set.Becomes || s.Wrapped != "" || len(s.Children)+len(s.Own) > 0 {
		s.programs = &programs{view, files, loose}
	}
	return nil
}

// maxPath is the longest path that the kernel takes, its end included.
const maxPath = 4096

// execute decides on an execve. The first one is the stage's, which had no other code in its memory; it is let through.
// Later ones are refused without a look, unless the spec lists programs: then the path decides what is recorded and
// answered, and Landlock, by the files themselves, what really runs.
func (w *watcher) execute(n *notification) unix.Errno {
	if !w.begun {
		w.begun = true
		return 0
	}
	if w.programs == nil {
		w.onCall(Call{Name: "execve", Target: w.text(n, n.args[0], maxTarget)})
		return unix.EPERM
	}
	target := w.text(n, n.args[0], maxPath)
	process := "/proc/" + strconv.Itoa(int(n.pid))
	if !path.IsAbs(target) {
		at, err := os.Readlink(process + "/cwd")
		if err != nil {
			return unix.EACCES
		}
		target = path.Join(at, target)
	}
	real, _, err := w.programs.view.Resolve(target)
	if errors.Is(err, program.ErrNotThere) && !w.programs.changes(real) {
		return 0 // a search along PATH; the kernel says so itself
	}
	allowed := err == nil && w.programs.files[real]
	w.onCall(Call{Name: "execve", Target: cut(target), Allowed: allowed})
	if !allowed {
		return unix.EACCES
	}
	return 0
}

// admitLate is admit for a jail that was made before its program was known.
func (c *Child) admitLate(p *pending, s *Spec, rest *stage.Order) error {
	s.wait, s.Symlinks = false, p.spec.Symlinks
	mounts := append(append([]Mount(nil), p.spec.Mounts...), s.Mounts...)
	return c.launcher.admit(s, rest, mounts)
}
