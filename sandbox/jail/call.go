package jail

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxTarget bounds Call.Target, in bytes.
const maxTarget = 256

// about says what a refused call was about. tell is false for one that means nothing: an ordinary thread by clone3.
func (w *watcher) about(n *notification, name string) (target string, tell bool) {
	switch name {
	case "socket":
		return sockets(n.args[0], n.args[1], n.args[2]), true
	case "unshare", "clone":
		return namespaces(n.args[0]), true
	case "setns":
		return namespaces(n.args[1]), true
	case "ioctl":
		return "0x" + strconv.FormatUint(n.args[1]&0xffffffff, 16), true
	case "clone3":
		mem := w.memory(n)
		if mem == nil {
			return "", false
		}
		defer mem.Close()
		var flags [8]byte // the first field of struct clone_args
		if _, err := mem.ReadAt(flags[:], int64(n.args[0])); err != nil {
			return "", false
		}
		target = namespaces(binary.NativeEndian.Uint64(flags[:]))
		return target, target != ""
	}
	if k, ok := paths[name]; ok {
		return w.text(n, n.args[k], maxTarget), true
	}
	return "", true
}

// paths are the calls that name a file, by the argument that does.
var paths = map[string]int{"mount": 1, "umount2": 0, "pivot_root": 0, "chroot": 0, "open_tree": 1, "execveat": 1, "fsopen": 0}

// text reads a string of the caller's, as far as that is possible.
func (w *watcher) text(n *notification, at uint64, most int) string {
	mem := w.memory(n)
	if mem == nil {
		return ""
	}
	defer mem.Close()
	return readText(mem, at, most)
}

// readText reads a string that ends with a zero byte. What lies past an unreadable page or the bound is left out.
func readText(mem *os.File, at uint64, most int) string {
	raw := make([]byte, most)
	n, err := io.ReadFull(io.NewSectionReader(mem, int64(at), int64(most)), raw)
	if end := bytes.IndexByte(raw[:n], 0); end >= 0 {
		n = end
	} else if err != nil && n < most { // the page behind it is not there, and a read is all or nothing: byte by byte then
		for n = 0; n < most; n++ {
			if _, err := mem.ReadAt(raw[n:n+1], int64(at)+int64(n)); err != nil || raw[n] == 0 {
				break
			}
		}
	}
	return strings.ToValidUTF8(string(raw[:n]), "\uFFFD")
}

// cut bounds a text to maxTarget bytes.
func cut(s string) string {
	if len(s) > maxTarget {
		s = strings.ToValidUTF8(s[:maxTarget], "")
	}
	return s
}

// namespaces names the namespaces among the flags of clone(2).
func namespaces(flags uint64) string {
	var names []string
	for _, f := range []struct {
		bit  uint64
		name string
	}{{unix.CLONE_NEWNS, "mount"}, {unix.CLONE_NEWUSER, "user"}, {unix.CLONE_NEWPID, "pid"}, {unix.CLONE_NEWNET, "net"}, {unix.CLONE_NEWIPC, "ipc"},
		{unix.CLONE_NEWUTS, "uts"}, {unix.CLONE_NEWCGROUP, "cgroup"}, {unix.CLONE_NEWTIME, "time"}} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ",")
}

// sockets names a kind of socket, by its number where it has no name here.
func sockets(family, kind, protocol uint64) string {
	name := map[uint64]string{unix.AF_INET: "inet", unix.AF_INET6: "inet6", unix.AF_PACKET: "packet", unix.AF_VSOCK: "vsock", unix.AF_ALG: "alg",
		unix.AF_KEY: "key", unix.AF_UNIX: "unix", unix.AF_BLUETOOTH: "bluetooth", unix.AF_CAN: "can", unix.AF_XDP: "xdp"}[family&0xffffffff]
	if name == "" {
		name = "family " + strconv.FormatUint(family&0xffffffff, 10)
	}
	switch kind & 0xf {
	case unix.SOCK_RAW:
		return name + " raw"
	case unix.SOCK_STREAM, unix.SOCK_DGRAM:
		return name + " protocol " + strconv.FormatUint(protocol&0xffffffff, 10)
	}
	return name
}
