// Package cgroup bounds and counts what a jail uses, with whatever control groups this process may make: version 1
// hierarchies, the unified one, or none.
package cgroup

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"casemate/internal/walls"
)

// The walls that control groups make.
const (
	WallMemory  = "cgroup-memory"
	WallPids    = "cgroup-pids"
	WallCPU     = "cgroup-cpu"
	WallFreezer = "cgroup-freezer"
)

// Limits bound one group.
type Limits struct {
	MemoryBytes int64
	Pids        int
	CPUMillis   int // 1000 is one core; 0 is no quota
}

// Usage is what a group has used so far.
type Usage struct {
	CPU       time.Duration
	PeakBytes int64
	OOM       bool // something was killed at the memory limit
}

// Missing is a wall that could not be made.
type Missing struct {
	Name string
	Err  error
}

// ErrNoFreezer says that no cgroup can stop this jail.
var ErrNoFreezer = errors.New("no freezer")

// Tree is what this machine's control groups give to this process: per controller the directory under which it may
// Make groups. Version 1 hierarchies are used where they own a controller, the unified one for the rest.
type Tree struct {
	bases map[string]base // by controller: memory, pids, cpu, cpuacct, freezer
	why   map[string]error
}

type base struct {
	dir string
	v2  bool
}

// controllers and the walls they make; cpuacct is only for accounting.
var controllers = [...]struct{ name, wall string }{
	{"memory", WallMemory}, {"pids", WallPids}, {"cpu", WallCPU}, {"cpuacct", ""}, {"freezer", WallFreezer},
}

// Open finds the hierarchies from /proc/self/mountinfo and /proc/self/cgroup under a root ("/" but in tests).
func Open(root string) *Tree {
	c := &Tree{bases: map[string]base{}, why: map[string]error{}}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return c
	}
	own, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return c
	}
	paths := ownPaths(string(own))
	for line := range strings.Lines(string(mounts)) {
		c.addMount(root, line, paths)
	}
	c.sweep()
	return c
}

// prefix starts the name of every group; the node's pid and a random text follow.
const prefix = "casemate-"

// sweep ends what nodes that were killed have left, and removes their groups. Their jails died with them, but for those
// that were frozen: a version 1 freezer keeps even a killed process until it is thawed (kernel documentation,
// cgroup-v1/freezer-subsystem.rst).
func (c *Tree) sweep() {
	var dead []string
	for _, b := range c.bases {
		left, _ := filepath.Glob(filepath.Join(b.dir, prefix+"*")) // only a bad pattern fails
		for _, group := range left {
			pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(group), prefix), "-")
			n, err := strconv.Atoi(pid)
			if err == nil && n > 0 && errors.Is(unix.Kill(n, 0), unix.ESRCH) {
				dead = append(dead, group)
			}
		}
	}
	for _, group := range dead {
		endAll(group)
	}
	patience := removeTime
	for _, group := range dead {
		if removeDir(group, patience) != nil { // still in use after all: the next node sweeps again
			patience = 0 // and this one starts now
		}
	}
}

// endAll kills the processes of a group and thaws them, so that they can die.
func endAll(group string) {
	procs, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	for _, text := range strings.Fields(string(procs)) {
		if n, err := strconv.Atoi(text); err == nil && n > 1 { // 0: in a pid namespace that we do not see
			_ = unix.Kill(n, unix.SIGKILL)
		}
	}
	for file, value := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
		if _, err := os.Stat(filepath.Join(group, file)); err == nil {
			_ = put(filepath.Join(group, file), value)
		}
	}
}

// ownPaths maps each version 1 controller, and "" for the unified hierarchy, to this process's group.
func ownPaths(text string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || strings.Contains(f[2], "..") {
			continue // "/..": outside of what this cgroup namespace shows
		}
		for _, name := range strings.Split(f[1], ",") {
			paths[name] = f[2]
		}
	}
	return paths
}

// addMount reads one line of mountinfo: fields 4 and 5 are the root of the mount and where it is, and after the lone
// "-" come the type, the source and the options of the file system (proc_pid_mountinfo(5)).
func (c *Tree) addMount(root, line string, own map[string]string) {
	left, right, _ := strings.Cut(line, " - ")
	f, fs := strings.Fields(left), strings.Fields(right)
	if len(f) < 5 || len(fs) < 3 {
		return
	}
	dir := func(path string) string {
		if f[3] != "/" {
			path = strings.TrimPrefix(path, f[3])
		}
		return filepath.Join(root, f[4], path)
	}
	switch fs[0] {
	case "cgroup":
		for _, option := range strings.Split(fs[2], ",") {
			for _, k := range controllers {
				if path, ok := own[option]; ok && k.name == option {
					c.bases[k.name] = base{dir: dir(path)}
				}
			}
		}
	case "cgroup2":
		if path, ok := own[""]; ok {
			c.addUnified(dir(path))
		}
	}
}

// addUnified takes what the unified hierarchy delegates. A group that holds processes cannot hand controllers on, so a
// node alone in its group first moves into a leaf of it (cgroups(7), "no internal processes").
func (c *Tree) addUnified(dir string) {
	for _, k := range controllers {
		if _, taken := c.bases[k.name]; taken || k.name == "cpuacct" || k.name == "freezer" {
			continue
		}
		err := handOn(dir, k.name)
		if err == nil {
			c.bases[k.name] = base{dir: dir, v2: true}
		}
		c.why[k.name] = err
	}
	if _, taken := c.bases["freezer"]; !taken && len(c.bases) > 0 {
		c.bases["freezer"] = base{dir: dir, v2: true}
	}
}

func handOn(dir, controller string) error {
	has, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	if !strings.Contains(" "+strings.TrimSpace(string(has))+" ", " "+controller+" ") {
		return errors.New("controller not delegated")
	}
	subtree := filepath.Join(dir, "cgroup.subtree_control")
	err = put(subtree, "+"+controller)
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(procs)) != strconv.Itoa(os.Getpid()) {
		return errors.New("other processes are in the node's own cgroup")
	}
	leaf := filepath.Join(dir, "casemate-node")
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := put(filepath.Join(leaf, "cgroup.procs"), strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	return put(subtree, "+"+controller)
}

// Group is one jail's control groups. A nil Group is none: its methods do nothing.
type Group struct {
	dirs map[string]base // by controller; several may share one directory

	mu       sync.Mutex
	removed  bool
	counters map[string]int // descriptors of the files that Usage reads, by name
}

// Make makes a group with its limits, and says which walls it could not make.
func (c *Tree) Make(l Limits, broken []string) (*Group, []Missing) {
	g := &Group{dirs: map[string]base{}, counters: map[string]int{}}
	name := prefix + strconv.Itoa(os.Getpid()) + "-" + strings.ToLower(rand.Text())
	var weak []Missing
	for _, k := range controllers {
		b, ok := c.bases[k.name]
		err := c.why[k.name]
		if err == nil && !ok {
			err = errors.New("no such controller")
		}
		for _, w := range broken {
			if w == k.wall {
				ok, err = false, errors.New("broken for a test")
			}
		}
		if ok {
			b.dir = filepath.Join(b.dir, name)
			if err = os.Mkdir(b.dir, 0o755); errors.Is(err, os.ErrExist) {
				err = nil // shared by two controllers
			}
			if err == nil {
				g.dirs[k.name] = b
				err = g.limit(k.name, b, l)
			}
		}
		if err != nil && k.wall != "" {
			weak = append(weak, Missing{k.wall, err})
		}
	}
	return g, weak
}

// cpuPeriod is the accounting period of the CPU quota, in microseconds: short, so that a throttled function waits
// for tens of milliseconds and not for hundreds.
const cpuPeriod = 20_000

func (g *Group) limit(controller string, b base, l Limits) error {
	if !walls.Up {
		return errors.New("this build has no walls")
	}
	at := func(file string) string { return filepath.Join(b.dir, file) }
	memory, pids := strconv.FormatInt(l.MemoryBytes, 10), strconv.Itoa(l.Pids)
	quota := strconv.Itoa(max(l.CPUMillis*cpuPeriod/1000, 1000)) // 1 ms is the kernel's least
	switch {
	case controller == "memory" && b.v2:
		return errors.Join(put(at("memory.max"), memory), optional(put(at("memory.swap.max"), "0")), put(at("memory.oom.group"), "1"))
	case controller == "memory":
		return errors.Join(put(at("memory.limit_in_bytes"), memory), optional(put(at("memory.memsw.limit_in_bytes"), memory)),
			optional(put(at("memory.swappiness"), "0")))
	case controller == "pids":
		return put(at("pids.max"), pids)
	case controller == "cpu" && l.CPUMillis == 0:
		return nil
	case controller == "cpu" && b.v2:
		return put(at("cpu.max"), quota+" "+strconv.Itoa(cpuPeriod))
	case controller == "cpu":
		return errors.Join(put(at("cpu.cfs_period_us"), strconv.Itoa(cpuPeriod)), put(at("cpu.cfs_quota_us"), quota))
	}
	return nil
}

// optional forgives a file that this kernel does not have; swap accounting is a boot option.
func optional(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

// put writes one value. Plain calls: the runtime's poller, which these files refuse, would cost more than the write.
func put(file, value string) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o644)
	if err == nil {
		_, err = unix.Write(fd, []byte(value))
		unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("writing cgroup limit: %w", &os.PathError{Op: "write", Path: file, Err: err})
	}
	return nil
}

// each calls f once per directory.
func (g *Group) each(f func(b base) error) error {
	if g == nil {
		return nil
	}
	var errs []error
	seen := map[string]bool{}
	for _, b := range g.dirs {
		if !seen[b.dir] {
			seen[b.dir] = true
			errs = append(errs, f(b))
		}
	}
	return errors.Join(errs...)
}

// Held names the walls that the group makes.
func (g *Group) Held() []string {
	if !walls.Up {
		return nil
	}
	var walls []string
	for _, k := range controllers {
		if _, ok := g.dirs[k.name]; ok && k.wall != "" {
			walls = append(walls, k.wall)
		}
	}
	return walls
}

// Enter moves the calling thread into the version 1 groups, so that what it spawns is born there, and gives the way back.
// Moving itself costs a thread microseconds; moving another process waits until every processor has passed a quiet
// state, which takes milliseconds on a busy machine (kernel/cgroup/cgroup.c, cgroup_procs_write_start). The caller is
// locked to its thread, and calls leave before anything else, whatever happened.
func (g *Group) Enter() (leave func() error, err error) {
	move := func(up string) error {
		return g.each(func(b base) error {
			if b.v2 {
				return nil
			}
			return put(filepath.Join(b.dir, up, "tasks"), "0")
		})
	}
	return func() error { return move("..") }, move(".")
}

// Join moves a process into the groups that Enter leaves out, with all of its threads.
func (g *Group) Join(pid int) error {
	return g.each(func(b base) error {
		if !b.v2 {
			return nil
		}
		return put(filepath.Join(b.dir, "cgroup.procs"), strconv.Itoa(pid))
	})
}

// Remove takes the directories away. The kernel needs a moment after the last process has gone.
func (g *Group) Remove() error {
	g.closeCounters()
	return g.each(func(b base) error { return removeDir(b.dir, removeTime) })
}

// removeTime is about half of what a removal waits for at most.
const removeTime = 2 * time.Second

func removeDir(dir string, most time.Duration) error {
	for wait := 100 * time.Microsecond; ; wait *= 2 {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if wait >= most {
			return fmt.Errorf("removing cgroup: %w", err)
		}
		time.Sleep(wait)
	}
}

func (g *Group) closeCounters() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, fd := range g.counters {
		unix.Close(fd)
	}
	g.counters, g.removed = nil, true
}

// Freeze stops every process of the group and returns when they stand.
func (g *Group) Freeze() error { return g.setFrozen(true) }

// Thaw lets them go on.
func (g *Group) Thaw() error { return g.setFrozen(false) }

func (g *Group) setFrozen(frozen bool) error {
	b, ok := base{}, false
	if g != nil {
		b, ok = g.dirs["freezer"]
	}
	if !ok {
		return ErrNoFreezer
	}
	file, value, state, want := "freezer.state", "THAWED", "freezer.state", "THAWED"
	switch {
	case b.v2 && frozen:
		file, value, state, want = "cgroup.freeze", "1", "cgroup.events", "frozen 1"
	case b.v2:
		file, value, state, want = "cgroup.freeze", "0", "cgroup.events", "frozen 0"
	case frozen:
		value, want = "FROZEN", "FROZEN"
	}
	if err := put(filepath.Join(b.dir, file), value); err != nil {
		return err
	}
	for wait := 20 * time.Microsecond; wait < time.Second; wait *= 2 {
		now, err := os.ReadFile(filepath.Join(b.dir, state))
		if err != nil {
			return fmt.Errorf("reading freezer: %w", err)
		}
		if strings.Contains(string(now), want) {
			return nil
		}
		time.Sleep(wait)
	}
	return errors.New("freezer: the processes do not stop")
}

// Usage reads the counters; those that are not there stay zero.
func (g *Group) Usage() Usage {
	u := g.Spent()
	if g == nil {
		return u
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if b, ok := g.dirs["memory"]; ok && b.v2 {
		u.OOM = g.number(b, "memory.events", "oom_kill") > 0
	} else if ok {
		u.OOM = g.number(b, "memory.oom_control", "oom_kill") > 0
	}
	return u
}

// Spent is Usage without OOM, for every event.
func (g *Group) Spent() Usage {
	var u Usage
	if g == nil {
		return u
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if b, ok := g.dirs["cpuacct"]; ok {
		u.CPU = time.Duration(g.number(b, "cpuacct.usage", ""))
	} else if b, ok := g.dirs["cpu"]; ok && b.v2 {
		u.CPU = time.Duration(g.number(b, "cpu.stat", "usage_usec")) * time.Microsecond
	}
	if b, ok := g.dirs["memory"]; ok && b.v2 {
		u.PeakBytes = g.number(b, "memory.peak", "")
	} else if ok {
		u.PeakBytes = g.number(b, "memory.max_usage_in_bytes", "")
	}
	return u
}

// Memory is what is resident now, in bytes; 0 where no controller counts it.
func (g *Group) Memory() int64 {
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if b, ok := g.dirs["memory"]; ok && b.v2 {
		return g.number(b, "memory.current", "")
	} else if ok {
		return g.number(b, "memory.usage_in_bytes", "")
	}
	return 0
}

// number reads a counter, from a descriptor that stays open: opening costs more than reading. The caller holds the lock.
func (g *Group) number(b base, file, key string) int64 {
	if g.removed {
		return 0
	}
	fd, open := g.counters[file]
	if !open {
		var err error
		if fd, err = unix.Open(filepath.Join(b.dir, file), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return 0
		}
		g.counters[file] = fd
	}
	var data [2048]byte
	n, err := unix.Pread(fd, data[:], 0)
	if err != nil {
		return 0
	}
	return parseNumber(data[:n], key)
}

// parseNumber takes the only number of a text, or the one after key at the start of a line; 0 when there is none.
func parseNumber(text []byte, key string) int64 {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		word, line := cutWord(line)
		if next, _ := cutWord(line); len(next) > 0 && string(word) == key {
			word = next
		} else if key != "" || len(word) == 0 {
			continue
		}
		n, _ := strconv.ParseInt(string(word), 10, 64)
		return n
	}
	return 0
}

// cutWord is the first word of a line, and what follows it.
func cutWord(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if k := bytes.IndexAny(line, " \t"); k >= 0 {
		return line[:k], line[k:]
	}
	return line, nil
}

// ProcUsage reads what a process without a cgroup has used, its reaped children included (proc_pid_stat(5)).
func ProcUsage(pid int, u Usage) (Usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return u, fmt.Errorf("reading usage: %w", err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if u.CPU == 0 && len(f) > 14 {
		for _, text := range f[11:15] { // utime, stime, cutime, cstime, in ticks of 10 ms
			n, _ := strconv.ParseInt(text, 10, 64)
			u.CPU += time.Duration(n) * 10 * time.Millisecond
		}
	}
	if u.PeakBytes == 0 {
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			return u, fmt.Errorf("reading usage: %w", err)
		}
		u.PeakBytes = parseNumber(status, "VmHWM:") << 10
	}
	return u, nil
}
