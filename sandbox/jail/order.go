package jail

import (
	"fmt"
	"os"
	"path"
	"sort"
	"strings"
)

// The defaults of Limits.
const (
	defaultMemory   = 128 << 20
	defaultPids     = 64
	defaultFiles    = 1024
	defaultTmp      = 64 << 20
	maxOrder        = 128 << 10 // one message on the control socket
	maxMounts       = 64
	maxPassed       = 128 // descriptors handed over in either direction
	defaultHostname = "casemate"
)

// order is what the stage is told, over its control socket. It holds no descriptor numbers but counts: the program's
// files are 3, 4, ... already when the stage starts.
type order struct {
	Argv      []string
	Env       []string
	Dir       string
	Hostname  string
	Mounts    []Mount // sorted: parents before children
	Symlinks  map[string]string
	Etc       map[string][]byte
	Limits    Limits
	UID       int
	Root      bool // the node is root: switch the uid; else the user namespace did
	Files     int
	Listen    []string
	Filter    []byte // seccomp program, in the kernel's own layout
	Notify    bool   // the filter has notifying rules
	DataLimit int64  // RLIMIT_DATA where no memory cgroup holds; 0 for none
	AllowWeak bool
	Probe     bool // go on to the exec, of nothing, and report
	Broken    []string
}

// outcome is what the stage answers: once with the walls, and again only when it could not go on.
type outcome struct {
	Held    []string
	Missing []Missing
	Fatal   string
	Wall    string // the wall that Fatal is about, if any
}

// order checks a spec and fills in the defaults.
func (s *Spec) order() (*order, error) {
	if len(s.Argv) == 0 || !cleanPath(s.Argv[0]) {
		return nil, fmt.Errorf("program %q: want an absolute clean path", s.Argv)
	}
	o := &order{
		Argv: s.Argv, Env: s.Env, Dir: s.Dir, Hostname: s.Hostname, Symlinks: s.Symlinks, Etc: s.Etc, UID: s.UID,
		Listen: s.Listen, Files: len(s.Files), AllowWeak: s.AllowWeak, Probe: s.probe, Broken: s.broken,
	}
	if o.Dir == "" {
		o.Dir = "/"
	}
	if o.Hostname == "" {
		o.Hostname = defaultHostname
	}
	if len(s.Mounts) > maxMounts || len(s.Files) > maxPassed || len(s.Listen) > maxPassed {
		return nil, fmt.Errorf("too many mounts, files or listeners")
	}
	for _, text := range append(append([]string{o.Dir, o.Hostname}, s.Argv...), s.Env...) {
		if strings.ContainsRune(text, 0) {
			return nil, fmt.Errorf("a NUL byte in an argument, name or variable")
		}
	}
	if s.UID < 0 {
		return nil, fmt.Errorf("uid %d: want a positive number", s.UID)
	}
	var err error
	if o.Limits, err = s.Limits.filled(); err != nil {
		return nil, err
	}
	if err := s.checkPaths(); err != nil {
		return nil, err
	}
	o.Mounts = append([]Mount(nil), s.Mounts...)
	sort.SliceStable(o.Mounts, func(i, j int) bool { return o.Mounts[i].Target < o.Mounts[j].Target })
	return o, nil
}

// filled puts the defaults in place of zeros.
func (l Limits) filled() (Limits, error) {
	if l.MemoryBytes < 0 || l.Pids < 0 || l.Files < 0 || l.CPUMillis < 0 || l.TmpBytes < 0 || l.FileBytes < 0 {
		return l, fmt.Errorf("limits %+v: want no negative number", l)
	}
	l.MemoryBytes = or(l.MemoryBytes, defaultMemory)
	l.Pids = or(l.Pids, defaultPids)
	l.Files = or(l.Files, defaultFiles)
	l.TmpBytes = or(l.TmpBytes, defaultTmp)
	l.FileBytes = or(l.FileBytes, l.TmpBytes)
	return l, nil
}

func or[T int | int64](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// reserved are the paths that the stage builds itself; a mount over one would undo a wall.
var reserved = []string{"/", "/dev", "/proc", "/tmp", "/sys"}

// checkPaths refuses anything that is not an absolute clean path, and anything that lands on or under what the stage
// itself builds.
func (s *Spec) checkPaths() error {
	targets := make([]string, 0, len(s.Mounts)+len(s.Symlinks)+len(s.Etc))
	for _, m := range s.Mounts {
		if !path.IsAbs(m.Source) {
			return fmt.Errorf("mount source %q: want an absolute path", m.Source)
		}
		targets = append(targets, m.Target)
	}
	for link := range s.Symlinks {
		targets = append(targets, link)
	}
	for file := range s.Etc {
		targets = append(targets, file)
	}
	for _, target := range targets {
		if !cleanPath(target) {
			return fmt.Errorf("path %q: want an absolute clean path", target)
		}
		for _, r := range reserved {
			if target == r || r != "/" && strings.HasPrefix(target, r+"/") {
				return fmt.Errorf("path %q: %s belongs to the jail", target, r)
			}
		}
	}
	return nil
}

func cleanPath(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && !strings.ContainsRune(p, 0)
}

// files lists the descriptors of a stage in order: control, stdout, stderr, the program's.
func (s *Spec) files(control, null *os.File) []*os.File {
	fs := []*os.File{control, null, null}
	if s.Stdout != nil {
		fs[1] = s.Stdout
	}
	if s.Stderr != nil {
		fs[2] = s.Stderr
	}
	return append(fs, s.Files...)
}
