package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// processes go at others on the same machine.
func processes() map[string]func(*api, order) answer {
	return map[string]func(*api, order) answer{
		"signal":              signal,
		"ptrace":              ptrace,
		"process_vm_readv":    readMemory,
		"read environment":    readEnvironment,
		"read process memory": readProcessMemory,
		"process root":        processRoot,
		"pidfd_getfd":         stealDescriptor,
		"see processes":       seeProcesses,
		"lower oom score":     lowerOOM,
		"priority":            priority,
	}
}

// signal ends another process. The suite looks whether it lives.
func signal(_ *api, o order) answer {
	if err := unix.Kill(o.number("pid"), unix.SIGKILL); err != nil {
		return failed(err)
	}
	return worked("sent")
}

func ptrace(_ *api, o order) answer {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const seize = 0x4206
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, seize, uintptr(o.number("pid")), 0, 0, 0, 0); errno != 0 {
		return failed(errno)
	}
	return worked("attached; it is let go when this thread ends")
}

// stack finds where a process keeps its arguments and environment.
func stack(pid string) (from, size uint64, err error) {
	maps, err := os.ReadFile("/proc/" + pid + "/maps")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "[stack]") {
			var to uint64
			_, err := fmt.Sscanf(line, "%x-%x", &from, &to)
			return from, to - from, err
		}
	}
	return 0, 0, errNotThere
}

func readMemory(_ *api, o order) answer {
	from, size, err := stack(o["pid"])
	if err != nil {
		from, size = 0x7ffc00000000, 4096 // tried all the same
	}
	block := make([]byte, size)
	local := []unix.Iovec{{Base: &block[0], Len: size}}
	n, err := unix.ProcessVMReadv(o.number("pid"), local, []unix.RemoteIovec{{Base: uintptr(from), Len: int(size)}}, 0)
	if err != nil {
		return failed(err)
	}
	return worked("%s", around(block[:n], "BATTERY_CANARY"))
}

// around is what stands behind a word.
func around(text []byte, word string) string {
	i := bytes.Index(text, []byte(word))
	if i < 0 {
		return "nothing of it"
	}
	return string(bytes.TrimRight(text[i:min(len(text), i+64)], "\x00"))
}

// readEnvironment reads the environment of every process it can see.
func readEnvironment(*api, order) answer {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err == nil && bytes.Contains(text, []byte("BATTERY_CANARY")) {
			return worked("%s: %s", file, around(text, "BATTERY_CANARY"))
		}
	}
	return failed(fmt.Errorf("none of %d processes has it", len(all)))
}

func readProcessMemory(_ *api, o order) answer {
	from, size, err := stack(o["pid"])
	if err != nil {
		return failed(err)
	}
	mem, err := os.Open("/proc/" + o["pid"] + "/mem")
	if err != nil {
		return failed(err)
	}
	defer mem.Close()
	block := make([]byte, size)
	n, err := mem.ReadAt(block, int64(from))
	if n == 0 {
		return failed(err)
	}
	return worked("%s", around(block[:n], "BATTERY_CANARY"))
}

// processRoot reads the secret through the root folder of another process.
func processRoot(_ *api, o order) answer {
	var last error
	for _, pid := range []string{o["pid"], "1", strconv.Itoa(os.Getppid())} {
		text, err := os.ReadFile("/proc/" + pid + "/root" + o["secret"])
		if err == nil {
			return worked("%s", text)
		}
		last = err
	}
	return failed(last)
}

func stealDescriptor(_ *api, o order) answer {
	pidfd, err := unix.PidfdOpen(o.number("pid"), 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, 0, 0)
	if err != nil {
		return failed(err)
	}
	unix.Close(fd)
	return worked("a descriptor of %s", o["pid"])
}

// seeProcesses looks for processes that are not its own.
func seeProcesses(_ *api, o order) answer {
	text, err := os.ReadFile("/proc/" + o["pid"] + "/comm")
	if err != nil {
		return failed(err)
	}
	if name := strings.TrimSpace(string(text)); name != o["name"] {
		return failed(fmt.Errorf("%s is %s", o["pid"], name))
	}
	return worked("%s is %s", o["pid"], o["name"])
}

// lowerOOM makes the kernel prefer another victim: a sandbox goes first. Below 0 a capability would be needed.
func lowerOOM(*api, order) answer {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0); err != nil {
		return failed(err)
	}
	return worked("0")
}

// priority takes precedence over the others.
func priority(*api, order) answer {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -10); err != nil {
		return failed(err)
	}
	return worked("nice -10")
}

// startSelf starts this program in a role and does not wait for it.
func startSelf(args ...string) (int, error) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

// capabilities are those of this process.
func capabilities() uint64 {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&head, &data[0]) != nil {
		return 0
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32
}

// ifreq is struct ifreq with flags.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

func pointer[T any](x *T) uintptr { return uintptr(unsafe.Pointer(x)) }
