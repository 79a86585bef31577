package jail

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path"
	"sort"
	"strings"

	"casemate/sandbox/jail/stage"
)

// The defaults of Limits.
const (
	defaultMemory   = 128 << 20
	defaultPids     = 64
	defaultFiles    = 1024
	defaultTmp      = 64 << 20
	maxMounts       = 64
	defaultHostname = "casemate"
)

// order checks a spec and turns it into what the stage is told. Its limits must be filled already.
func (s *Spec) order() (*stage.Order, error) {
	if len(s.Argv) == 0 || !cleanPath(s.Argv[0]) {
		return nil, fmt.Errorf("program %q: want an absolute clean path", s.Argv)
	}
	if len(s.Mounts) > maxMounts || len(s.Files) > stage.MaxPassed || len(s.Listen) > stage.MaxPassed {
		return nil, fmt.Errorf("too many mounts, files or listeners")
	}
	for _, text := range append(append([]string{s.Dir, s.Hostname}, s.Argv...), s.Env...) {
		if strings.ContainsRune(text, 0) {
			return nil, fmt.Errorf("a NUL byte in an argument, name or variable")
		}
	}
	if s.UID < 0 {
		return nil, fmt.Errorf("uid %d: want a positive number", s.UID)
	}
	if err := s.checkPaths(); err != nil {
		return nil, err
	}
	o := &stage.Order{
		Argv: s.Argv, Env: s.Env, Dir: cmp.Or(s.Dir, "/"), Hostname: cmp.Or(s.Hostname, defaultHostname), Symlinks: s.Symlinks,
		Etc: s.Etc, Mute: s.Profile == "wasm", Files: len(s.Files), AllowWeak: s.AllowWeak || s.probe, Broken: s.broken, Places: s.Places,
		Limits: stage.Limits{Pids: s.Limits.Pids, Files: s.Limits.Files, TmpBytes: s.Limits.TmpBytes, FileBytes: s.Limits.FileBytes},
	}
	for _, text := range s.Listen {
		datagram, addr, err := parseListen(text)
		if err != nil {
			return nil, fmt.Errorf("listening on %q: %w", text, err)
		}
		o.Listen = append(o.Listen, stage.Socket{Datagram: datagram, IP: addr.Addr().AsSlice(), Port: addr.Port()})
	}
	for _, m := range s.Mounts {
		o.Mounts = append(o.Mounts, stage.Mount(m))
	}
	sort.SliceStable(o.Mounts, func(i, j int) bool { return o.Mounts[i].Target < o.Mounts[j].Target })
	return o, nil
}

// parseListen reads one entry of Spec.Listen.
func parseListen(text string) (datagram bool, addr netip.AddrPort, err error) {
	network, text, _ := strings.Cut(text, " ")
	if network != "tcp" && network != "udp" {
		return false, addr, fmt.Errorf("network %q: want tcp or udp", network)
	}
	addr, err = netip.ParseAddrPort(text)
	return network == "udp", addr, err
}

// filled puts the defaults in place of zeros.
func (l Limits) filled() (Limits, error) {
	if l.MemoryBytes < 0 || l.Pids < 0 || l.Files < 0 || l.CPUMillis < 0 || l.TmpBytes < 0 || l.FileBytes < 0 {
		return l, fmt.Errorf("limits %+v: want no negative number", l)
	}
	l.MemoryBytes = cmp.Or(l.MemoryBytes, defaultMemory)
	l.Pids = cmp.Or(l.Pids, defaultPids)
	l.Files = cmp.Or(l.Files, defaultFiles)
	l.TmpBytes = cmp.Or(l.TmpBytes, defaultTmp)
	l.FileBytes = cmp.Or(l.FileBytes, l.TmpBytes)
	return l, nil
}

// reserved are the paths that the stage builds itself or leaves out; a mount over one would undo a wall.
var reserved = []string{"/", "/dev", "/proc", "/tmp", "/sys"}

// limitsDir may hold small files of Spec.Etc all the same: interpreters read there how much memory they may use.
const limitsDir = "/sys/fs/cgroup/"

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
	targets = append(targets, s.Places...)
	for link := range s.Symlinks {
		targets = append(targets, link)
	}
	for file := range s.Etc {
		if !strings.HasPrefix(file, limitsDir) {
			targets = append(targets, file)
		} else if !cleanPath(file) {
			return fmt.Errorf("path %q: want an absolute clean path", file)
		}
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
