// Package stage is what runs inside a jail before the program does: it puts up the walls around itself and then becomes
// the program. It is entered by re-executing the node's binary with Name as its only argument, from an early init; it
// imports almost nothing so that this happens before the rest of the binary wakes up.
package stage

// Name is argv[0] of a stage. It carries nothing: the order comes over descriptor 0.
const Name = "casemate-jail"

// Bounds on what passes between node and stage.
const (
	MaxOrder  = 128 << 10 // bytes of one message
	MaxPassed = 128       // descriptors, in either direction
)

// The tags of the binary messages that a stage sends; every other message is an Outcome.
const (
	TagWaiting  = 'W' // alone: the stage waits for the rest of its order
	TagNotifier = 'N' // followed by the number of the notifier's descriptor in the stage: fetch it, then answer a byte
	TagFailed   = 'X' // followed by the errno of the exec; both numbers are 4 bytes, little-endian
)

// UID is the uid and gid of a program in a jail with an own user namespace.
const UID = 1051

// The walls that a stage puts up.
const (
	WallUserNS     = "userns" // rootless only; a root node switches to an own uid instead
	WallUID        = "uid"
	WallNamespaces = "namespaces" // pid, mount, net, ipc, uts
	WallCgroupNS   = "cgroupns"
	WallRoot       = "rootfs" // pivoted, sealed, read-only
	WallProc       = "proc"   // own processes only, nothing of the machine
	WallNet        = "net"    // loopback only, every address local
	WallCaps       = "caps"
	WallNoNewPrivs = "nonewprivs"
	WallLandlock   = "landlock"
	WallSeccomp    = "seccomp"
	WallNotify     = "seccomp-notify" // connects are seen
)

// Mount is a file or directory to show inside: read-only and noexec unless it says otherwise, always nosuid and nodev.
type Mount struct {
	Source, Target string
	Writable, Exec bool
}

// Limits are the resource limits of each process; the defaults are filled in already.
type Limits struct {
	Pids, Files         int
	TmpBytes, FileBytes int64
	DataBytes           int64 // RLIMIT_DATA, where no memory cgroup holds; 0 for none
}

// Socket is one to open inside, for the node to serve. (Parsed by the node: net/netip would wake half the binary up
// before the stage.)
type Socket struct {
	Datagram bool
	IP       []byte // 4 or 16
	Port     uint16
}

// Order is what a stage is told. The program's files are descriptors 3, 4, ... already.
type Order struct {
	Argv      []string
	Env       []string
	Dir       string
	Hostname  string
	Mounts    []Mount // sorted: parents before children
	Symlinks  map[string]string
	Etc       map[string][]byte
	Limits    Limits
	UID       int  // to become, when Root
	Root      bool // the node is root: switch the uid; else the user namespace did
	Files     int
	Listen    []Socket
	Filter    []byte // system call filter, in the kernel's own layout
	Notify    bool   // the filter has notifying rules
	AllowWeak bool
	Broken    []string // walls that shall fail, for the tests of missing walls

	Wait     bool      // put up what can be, say so, and take the rest in a second order
	Programs []Program // what may be executed; nothing else may
	Mute     bool      // no TCP socket is bound or connected, not even to itself

	Places []string // empty directories for mounts made from outside later; executable, as far as those mounts are
}

// Program is one file that may be executed, by its path inside with links resolved.
type Program struct {
	Path   string
	Pinned bool // it must be this very file:
	Device, Inode, Size,
	Changed int64 // nanoseconds
}

// Missing is a wall that did not come up.
type Missing struct{ Name, Why string }

// Outcome is what a stage answers: once with its walls and its sockets, and again only when it could not go on.
type Outcome struct {
	Held    []string
	Missing []Missing
	Fatal   string
	Wall    string // the wall that Fatal is about; empty for a mistake in the order
}
