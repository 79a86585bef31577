package battery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The suite starts itself twice: as the keeper of the cell, which is process 1 in it, and as the prisoner, which runs the
// tests. The variables say which one a process is, and where the binaries are.
const (
	roleVariable = "CASEMATE_BATTERY_ROLE"
	dirVariable  = "CASEMATE_BATTERY_DIR"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "keeper":
		os.Exit(keep())
	case "prisoner":
		os.Exit(prisoner(m))
	}
	os.Exit(enclose())
}

// enclose builds what is tested and starts the cell with it.
func enclose() int {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			log.Print("the battery needs root, and CI has to have it")
			return 1
		}
		log.Print("*** LEFT OUT: the battery of attacks needs root, for a cell of its own ***")
		return 0
	}
	// In a folder that every user may enter: functions run as others.
	dir, err := os.MkdirTemp("/tmp", "cmb")
	if err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), build(dir)); err != nil {
		log.Print(err)
		return 1
	}
	group, err := newGroup(fmt.Sprintf("battery-%d", os.Getpid()))
	if err != nil {
		log.Print(err)
		return 1
	}
	defer group.remove()
	runtime.LockOSThread() // Pdeathsig is the thread's
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"=keeper", dirVariable+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	if unified, err := unifiedGroup(group); err != nil {
		log.Print(err)
		return 1
	} else if unified != "" {
		defer os.Remove(unified)
		fd, err := unix.Open(unified, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			log.Print(err)
			return 1
		}
		defer unix.Close(fd)
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, fd
	}
	leave, err := group.enter()
	if err == nil {
		// What is started from this thread is born in the group, and only that.
		err = cmd.Start()
	}
	if err := errors.Join(err, leave()); err != nil {
		log.Print(err)
		return 1
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode()
	}
	if err != nil {
		log.Print("the cell ended: ", err)
		return 1
	}
	return 0
}

// keep furnishes the cell, starts the prisoner and reaps whatever is left behind until it ends. Everything that still
// runs then dies with this process.
func keep() int {
	if err := furnish(); err != nil {
		log.Print("furnishing the cell: ", err)
		return 1
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"=prisoner")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		log.Print(err)
		return 1
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			log.Print(err)
			return 1
		case pid == cmd.Process.Pid && status.Exited():
			return status.ExitStatus()
		case pid == cmd.Process.Pid && status.Signaled():
			log.Print("the tests were ended by ", status.Signal())
			return 1
		}
	}
}

// furnish makes the cell's own /proc, a /var and a /run that may be changed, its resolver, and a network in which every
// address is local.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if err := unix.Mount("cell", "/run", "tmpfs", 0, "size=16m"); err != nil {
		return fmt.Errorf("/run: %w", err)
	}
	if err := freshVar(); err != nil {
		return fmt.Errorf("/var: %w", err)
	}
	resolver := filepath.Join("/run", "resolv.conf")
	if err := os.WriteFile(resolver, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(resolver, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("/etc/resolv.conf: %w", err)
	}
	return everyAddress()
}

// freshVar shows the folders of the host's /var in one that takes new ones: without walls, code lies in /var/task itself.
func freshVar() error {
	entries, err := os.ReadDir("/var")
	if err != nil {
		return err
	}
	trees := map[string]int{}
	for _, e := range entries {
		if e.IsDir() {
			fd, err := unix.OpenTree(unix.AT_FDCWD, "/var/"+e.Name(), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
			if err != nil {
				return err
			}
			trees[e.Name()] = fd
		}
	}
	if err := unix.Mount("cell", "/var", "tmpfs", 0, "size=16m,mode=0755"); err != nil {
		return err
	}
	for name, fd := range trees {
		if err := os.Mkdir("/var/"+name, 0o755); err != nil {
			return err
		}
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, "/var/"+name, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return err
		}
		unix.Close(fd)
	}
	return nil
}

// everyAddress brings loopback up and makes every IPv4 address local to it: `ip route add local default dev lo`.
func everyAddress() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bringing loopback up: %w", err)
	}
	link, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(link)
	message := []any{
		unix.NlMsghdr{Len: unix.SizeofNlMsghdr + unix.SizeofRtMsg + unix.SizeofRtAttr + 4, Type: unix.RTM_NEWROUTE, Seq: 1,
			Flags: unix.NLM_F_REQUEST | unix.NLM_F_CREATE | unix.NLM_F_ACK},
		unix.RtMsg{Family: unix.AF_INET, Table: unix.RT_TABLE_LOCAL, Protocol: unix.RTPROT_BOOT, Scope: unix.RT_SCOPE_HOST, Type: unix.RTN_LOCAL},
		unix.RtAttr{Len: unix.SizeofRtAttr + 4, Type: unix.RTA_OIF}, uint32(1),
	}
	var raw []byte
	for _, part := range message {
		if raw, err = binary.Append(raw, binary.NativeEndian, part); err != nil {
			return err
		}
	}
	if err := unix.Sendto(link, raw, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(link, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 {
		return errors.New("netlink: a short answer")
	}
	if errno := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
		return fmt.Errorf("making every address local: %w", unix.Errno(-errno))
	}
	return nil
}

// group is a control group in each version 1 hierarchy: nodes in the cell make theirs below it, and all of the cell
// together is bounded, whatever an attack without walls does.
type group []string

func newGroup(name string) (group, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	bounds := map[string][2]string{"pids": {"pids.max", "4000"}, "memory": {"memory.limit_in_bytes", "6442450944"}}
	var g group
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		dash := 0
		for i, word := range f {
			if word == "-" {
				dash = i
			}
		}
		if dash == 0 || len(f) < dash+4 || f[dash+1] != "cgroup" || f[3] != "/" {
			continue
		}
		for entry := range strings.Lines(string(own)) {
			part := strings.SplitN(strings.TrimSpace(entry), ":", 3)
			first, _, _ := strings.Cut(part[1], ",")
			if !slices.Contains([]string{"memory", "pids", "cpu", "cpuacct", "freezer"}, first) || !strings.Contains(","+f[dash+3]+",", ","+first+",") {
				continue
			}
			dir := filepath.Join(f[4], part[2], name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				continue // not ours to divide
			}
			g = append(g, dir)
			if b, ok := bounds[first]; ok {
				if err := os.WriteFile(filepath.Join(dir, b[0]), []byte(b[1]), 0o644); err != nil {
					g.remove()
					return nil, err
				}
			}
		}
	}
	return g, nil
}

// unifiedGroup makes the group where there is version 2 alone. A node clears up after nodes that have gone, and in the cell
// it would take those outside for gone: it must not see their groups.
func unifiedGroup(g group) (string, error) {
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); len(g) > 0 || err != nil {
		return "", nil
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	dir := filepath.Join("/sys/fs/cgroup", strings.TrimPrefix(strings.TrimSpace(string(own)), "0::"), fmt.Sprintf("battery-%d", os.Getpid()))
	return dir, os.Mkdir(dir, 0o755)
}

// enter moves the calling thread in, so that what it starts is born there.
func (g group) enter() (leave func() error, err error) {
	move := func(up string) (err error) {
		for _, dir := range g {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, up, "tasks"), []byte("0"), 0o644)) // 0 is the writer
		}
		return err
	}
	return func() error { return move("..") }, move(".")
}

// remove takes the groups away, deepest first.
func (g group) remove() {
	for _, dir := range g {
		var all []string
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for i := len(all) - 1; i >= 0; i-- {
			for range 200 { // the kernel needs a moment after the last process
				if err := os.Remove(all[i]); err == nil || !errors.Is(err, unix.EBUSY) {
					break
				}
				unix.Nanosleep(&unix.Timespec{Nsec: 1e7}, nil)
			}
		}
	}
}
