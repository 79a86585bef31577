package jail

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"casemate/internal/walls"
	"casemate/sandbox/jail/calls"
	"casemate/sandbox/jail/cgroup"
	"casemate/sandbox/jail/program"
	"casemate/sandbox/jail/stage"
)

// launcher owns the one operating system thread that every jail of this process is spawned from.
//
// Danger: PR_SET_PDEATHSIG is tied to the creating thread, not to the process (prctl(2)). A jail spawned from a thread
// that ends later is killed then. So the thread is locked to one goroutine that never returns.
type launcher struct {
	work    chan func()
	root    bool
	cgroups *cgroup.Tree

	mu      sync.Mutex
	uids    map[int]bool // in use
	filters map[string]calls.Filter
	digests program.Digests
}

// theLauncher is made at the first use. Its thread lives as long as the process: that is its point.
var theLauncher = sync.OnceValues(newLauncher)

func newLauncher() (*launcher, error) {
	l := &launcher{work: make(chan func()), root: canSwitch(), uids: map[int]bool{}, filters: map[string]calls.Filter{}}
	l.cgroups = cgroup.Open("/")
	go func() {
		runtime.LockOSThread()
		for f := range l.work {
			f()
		}
	}()
	return l, nil
}

// filter compiles a profile once.
func (l *launcher) filter(profile string, o calls.Options) (calls.Filter, error) {
	key := fmt.Sprintf("%s/%+v", profile, o)
	l.mu.Lock()
	defer l.mu.Unlock()
	if f, ok := l.filters[key]; ok {
		return f, nil
	}
	f, err := calls.Compile(profile, o)
	if err == nil {
		l.filters[key] = f
	}
	return f, err
}

// The uid pool of a root node: a range that no distribution hands out (systemd, "Users, Groups, UIDs and GIDs").
const (
	poolBase = 0x70000000
	poolSize = 1 << 20
)

// takeUID reserves a uid of the pool that no other jail of this process has.
func (l *launcher) takeUID() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if uid := poolBase + rand.IntN(poolSize); !l.uids[uid] {
			l.uids[uid] = true
			return uid
		}
	}
}

func (l *launcher) giveUID(uid int) {
	l.mu.Lock()
	delete(l.uids, uid)
	l.mu.Unlock()
}

// spawn re-executes this binary as a stage in new namespaces and in a group.
func (l *launcher) spawn(files []*os.File, g *cgroup.Group) (*os.Process, error) {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
	}
	if !walls.Up {
		attr.Cloneflags = unix.CLONE_NEWNS | unix.CLONE_NEWNET
	}
	wall := WallNamespaces
	if !l.root {
		wall = WallUserNS
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: stage.UID, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: stage.UID, HostID: os.Getegid(), Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETPCAP}
	}
	// The stage needs no collector and no parallelism; its environment is gone once it is the program.
	env := []string{"GOGC=off", "GOMAXPROCS=1"}
	var process *os.Process
	var err error
	done := make(chan struct{})
	l.work <- func() {
		defer close(done)
		leave, entered := g.Enter()
		if err = entered; err == nil {
			process, err = os.StartProcess("/proc/self/exe", []string{stage.Name}, &os.ProcAttr{Env: env, Files: files, Sys: attr})
			if err != nil {
				err = &WallError{[]Missing{missing(wall, err.Error())}}
			}
		}
		err = errors.Join(err, leave())
	}
	<-done
	if process == nil || err != nil {
		return process, err
	}
	return process, g.Join(process.Pid)
}

// canSwitch says whether this process can make namespaces and switch uids itself, or needs a user namespace for it.
func canSwitch() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(status), "\nCapEff:")
	line, _, _ := strings.Cut(rest, "\n")
	caps, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETPCAP |
		1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_BIND_SERVICE
	return err == nil && caps&need == need && os.Geteuid() == 0
}
