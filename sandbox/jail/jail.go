// Package jail runs one program behind walls made by the Linux kernel, with no helper binary and no cgo.
//
// Start re-executes the node's own binary as a stage (package stage), which builds the new root, the network and the
// locks around itself and then becomes the program. Nothing of the node survives the exec but the descriptors that the
// caller handed over. Package cgroup bounds and counts what the jail uses.
//
// The walls: own pid, mount, net, ipc, uts and cgroup namespaces (and, without root, an own user namespace); a sealed
// read-only root holding only what the caller mounted; an own uid; no capability, no way to gain one; an allow-list of
// system calls; Landlock over the same files, and over which of them may be executed; memory, pids and CPU limits by cgroup. A wall that the kernel cannot
// give is named and refused, never skipped in silence.
package jail

import (
	"fmt"
	"os"
	"strings"

	"casemate/sandbox/jail/cgroup"
	"casemate/sandbox/jail/program"
	"casemate/sandbox/jail/stage"
)

// Mount shows one file or directory of the host inside the jail. It is always nosuid and nodev. The zero value of the
// flags is the stricter one. Under a root node the program runs with an own uid: what it should read must be readable
// by others (0444, directories 0555), what it should write must belong to Spec.UID. Directories above Source need not
// be reachable. Exec lets files there be mapped as code, as libraries are; which ones may be executed is another question:
// Spec.Argv, Wrapped and Children.
type Mount struct {
	Source, Target string // both absolute; Target is clean and not "/"
	Writable, Exec bool
}

// Program is a file that may be executed, as long as its content has a digest.
type Program struct {
	Path   string // inside; absolute and clean
	SHA256 string // lower-case hex
}

// MismatchError is a program of Spec.Children whose content has another digest.
type MismatchError = program.MismatchError

// Limits bound the whole jail, all of its processes together. Zero means the default named at each field, never
// "unlimited"; a negative value is an error.
type Limits struct {
	MemoryBytes int64 // resident memory and /tmp together; 128 MiB
	Pids        int   // processes and threads; 64
	Files       int   // open descriptors per process; 1024
	CPUMillis   int   // 1000 is one core; 0 leaves only the fair share of an own session
	TmpBytes    int64 // size of /tmp; 64 MiB
	FileBytes   int64 // largest single file; TmpBytes
	Yields      bool  // until Child.Assign it stands back where others want the processors
}

// Spec is one jail. The zero value of every field is the closed one.
type Spec struct {
	Argv     []string // Argv[0] is a path inside the jail
	Env      []string // the program's whole environment; nothing is inherited
	Dir      string   // working directory inside; "/" when empty
	Hostname string   // "casemate" when empty
	Mounts   []Mount
	Symlinks map[string]string // path inside -> target; targets are not checked, they only resolve inside
	Etc      map[string][]byte // small synthetic files by absolute path: /etc/passwd, /etc/resolv.conf, ...
	Limits   Limits
	UID      int    // uid on the host when the node is root; 0 picks an unused one from a pool of this process
	Profile  string // system call allow-list: "node", "python", "provided" or "wasm"
	// Listen opens sockets inside the jail's network namespace, "tcp 169.254.100.1:9001" or "udp [fd00::1]:53", to be
	// served by the caller. Any address works: inside, every address is local.
	Listen []string
	Files  []*os.File // become descriptors 3, 4, ... of the program; the caller keeps and closes its own copies
	Stdout *os.File   // nil is /dev/null
	Stderr *os.File   // nil is /dev/null
	// Places are empty directories that Child.Assign mounts something on later, "/var/task". What their parent directories
	// hold may be read, and executed as far as its mount allows it.
	Places []string
	// Children are the programs that may be executed besides Argv[0]; nil: none. Each is checked before the start, and the
	// file that was checked is the one that Landlock lets through, whatever happens to its path later.
	Children []Program
	// Wrapped is the one program that Argv[0] executes in its turn, of a wrapper; it is not checked.
	Wrapped string
	// Own are more programs that may be executed, of mounts whose content the caller answers for: they are not checked. One
	// that is not there is no error.
	Own []string
	// AllowWeak goes on with missing walls and names them in Child.Weak. Without it Start fails with *WallError.
	AllowWeak bool
	// OnConnect is asked, from one goroutine, about each connect or send to an address that is not the jail's own
	// (Listen, loopback, unix): true lets the call go on, which then meets what listens inside, or nobody. nil refuses
	// all. It must not block. What it lets pass it cannot hold to: see watcher.
	OnConnect func(network, address string) (pass bool)
	// OnCall is told, from one goroutine, about each call that package calls holds worth a record: one that was refused,
	// or another program. It must not block. nil: nobody is told. What is refused does not depend on it.
	OnCall func(Call)

	programs *programs         // what may be executed after the first; set by Start
	broken   []string          // walls that shall fail, for the tests of missing walls
	wait     bool              // build the jail without its program: Prepare
	trace    func(name string) // for tests: hears of every call that is allowed
	probe    bool              // there is no program: put the walls up and report
}

// Call is a system call worth a record.
type Call struct {
	Name    string // "ptrace", "mount", "execve"
	Target  string // what it was about, as far as it could be read: a path, a family of sockets, flags; at most 256 bytes
	Allowed bool   // only of execve: of a program that Spec lists
}

// Exit is how the program ended.
type Exit struct {
	Code   int    // exit status, -1 when killed by a signal
	Signal string // "killed", "segmentation fault", ...; empty when it exited
	OOM    bool   // the memory limit killed something in the jail
}

// Usage is what the whole jail has used so far: CPU time, the highest memory use seen, and whether something was killed
// at the memory limit.
type Usage = cgroup.Usage

// The walls by their names in Child.Walls, Child.Weak, Report and WallError.
const (
	WallUserNS     = stage.WallUserNS
	WallUID        = stage.WallUID
	WallNamespaces = stage.WallNamespaces
	WallCgroupNS   = stage.WallCgroupNS
	WallRoot       = stage.WallRoot
	WallProc       = stage.WallProc
	WallNet        = stage.WallNet
	WallCaps       = stage.WallCaps
	WallNoNewPrivs = stage.WallNoNewPrivs
	WallSeccomp    = stage.WallSeccomp
	WallNotify     = stage.WallNotify
	WallLandlock   = stage.WallLandlock
	WallMemory     = cgroup.WallMemory
	WallPids       = cgroup.WallPids
	WallCPU        = cgroup.WallCPU
	WallFreezer    = cgroup.WallFreezer
)

// Missing is one wall that the kernel did not give.
type Missing struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Remedy string `json:"remedy"`
}

// WallError says which walls are missing. Start returns it when Spec.AllowWeak is false, or when a wall without which
// nothing can be jailed at all is missing.
type WallError struct{ Missing []Missing }

// Error names each wall with its reason and its remedy.
func (e *WallError) Error() string {
	parts := make([]string, len(e.Missing))
	for i, m := range e.Missing {
		parts[i] = fmt.Sprintf("%s (%s; %s)", m.Name, m.Why, m.Remedy)
	}
	return "sandbox walls missing: " + strings.Join(parts, ", ")
}

// remedy says what an operator can do about a wall that is missing.
func remedy(wall string) string {
	return map[string]string{
		WallUserNS:     "allow user namespaces (user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0) or run as root",
		WallUID:        "run the node as root or with CAP_SETUID",
		WallNamespaces: "allow namespaces: outside a container, or in one with CAP_SYS_ADMIN and no seccomp profile over clone",
		WallCgroupNS:   "use a kernel with CONFIG_CGROUPS",
		WallRoot:       "use Linux 5.12 or newer",
		WallProc:       "in a container, unmask /proc (systempaths=unconfined)",
		WallNet:        "use a kernel with CONFIG_IP_MULTIPLE_TABLES",
		WallCaps:       "use a kernel with CONFIG_SECURITY",
		WallNoNewPrivs: "use Linux 3.5 or newer",
		WallSeccomp:    "use a kernel with CONFIG_SECCOMP_FILTER",
		WallNotify:     "use Linux 5.5 or newer",
		WallLandlock:   "enable Landlock (lsm=landlock,... on the kernel command line)",
		WallMemory:     "delegate the memory controller (systemd: Delegate=yes) or run as root",
		WallPids:       "delegate the pids controller (systemd: Delegate=yes) or run as root",
		WallCPU:        "delegate the cpu controller (systemd: Delegate=yes) or run as root",
		WallFreezer:    "delegate a cgroup (systemd: Delegate=yes) or run as root",
	}[wall]
}

func missing(name, why string) Missing { return Missing{Name: name, Why: why, Remedy: remedy(name)} }

// Wall is one line of a Report.
type Wall struct {
	Name      string `json:"name"`
	Available bool   `json:"available"`
	Why       string `json:"why,omitempty"`
	Remedy    string `json:"remedy,omitempty"`
}

// Report is what this machine's kernel gives to this process.
type Report struct{ Walls []Wall }

// Missing lists the walls that are not there.
func (r Report) Missing() []Missing {
	var ms []Missing
	for _, w := range r.Walls {
		if !w.Available {
			ms = append(ms, Missing{w.Name, w.Why, w.Remedy})
		}
	}
	return ms
}
