package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// programs execute what the function was not given.
func programs() map[string]func(*api, order) answer {
	return map[string]func(*api, order) answer{
		"exec program":      func(*api, order) answer { return runs("/bin/echo", "ran") },
		"exec shell":        func(*api, order) answer { return runs("/bin/sh", "-c", "echo ran") },
		"exec from /tmp":    fromTmp,
		"exec memfd":        fromMemory,
		"exec by ld.so":     byLoader,
		"exec itself":       func(*api, order) answer { return runs("/proc/self/exe", "say") },
		"set-uid program":   setUID,
		"exec with environ": func(*api, order) answer { return runs("/usr/bin/env") },
		"stress":            stress,
		"exec race":         execRace,
		"run":               func(_ *api, o order) answer { return runs(o["program"]) },
		"linker on program": func(*api, order) answer { return runs("/usr/bin/ld.so", "/bin/echo", "ran") },
		"script of program": script,
		"script in code":    func(*api, order) answer { return runs("/var/task/bootstrap", "say") },
	}
}

// role is what this program does when it was started by itself.
func role(name string, args []string) int {
	switch name {
	case "say":
		fmt.Println("ran")
	case "whoami":
		fmt.Println("ran as", os.Geteuid())
	case "linger":
		seconds, err := strconv.Atoi(args[0])
		if err != nil {
			return 2
		}
		time.Sleep(time.Duration(seconds) * time.Second)
	default:
		return 2
	}
	return 0
}

func runs(program string, args ...string) answer {
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		return failed(fmt.Errorf("%w: %s", err, out[:min(len(out), 200)]))
	}
	return worked("%s", out[:min(len(out), 200)])
}

// stress runs stressors one after the other, each for a moment. How many went wrong says how much the walls refuse.
func stress(_ *api, o order) answer {
	var ended int
	names := strings.Fields(o["names"])
	for _, name := range names {
		cmd := exec.Command("/usr/bin/stress-ng", "--"+name, "1", "--timeout", "2", "--temp-path", "/tmp", "--no-oom-adjust", "--oomable", "--quiet")
		cmd.Dir, cmd.SysProcAttr = "/tmp", &unix.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return failed(err)
		}
		enough := time.AfterFunc(300*time.Millisecond, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }) // it may have ended
		err := cmd.Wait()
		enough.Stop()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); err != nil && ok && !status.Signaled() {
			ended++
		}
		sweep()
	}
	return answer{Detail: fmt.Sprintf("%d stressors, %d could not do what they do", len(names), ended)}
}

// sweep ends what a stressor has left in other sessions: it would take the room of the next one.
func sweep() {
	if os.Getpid() != 1 {
		return // not a process space of its own
	}
	_ = unix.Kill(-1, unix.SIGKILL) // there may be nobody
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// script names an allowed program as its interpreter: what runs is a file that was just written.
func script(_ *api, o order) answer {
	dir, err := os.MkdirTemp("/tmp", "battery")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "script")
	if err := os.WriteFile(name, []byte("#!"+o["program"]+"\n"), 0o755); err != nil {
		return failed(err)
	}
	return runs(name)
}

// copied puts this program somewhere else.
func copied(to string) error {
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	return os.WriteFile(to, own, 0o755)
}

func fromTmp(*api, order) answer {
	dir, err := os.MkdirTemp("/tmp", "battery")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "program")
	if err := copied(name); err != nil {
		return failed(err)
	}
	return runs(name, "say")
}

// fromMemory executes a file that lies nowhere.
func fromMemory(*api, order) answer {
	fd, err := unix.MemfdCreate("battery", 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	name := fmt.Sprintf("/proc/self/fd/%d", fd)
	if err := copied(name); err != nil {
		return failed(err)
	}
	return runs(name, "say")
}

// byLoader has the dynamic linker load a program, so that the linker is all that is executed.
func byLoader(*api, order) answer {
	names, _ := filepath.Glob("/lib*/ld-linux*")
	more, _ := filepath.Glob("/lib/*/ld-linux*")
	for _, name := range append(names, more...) {
		return runs(name, "/bin/echo", "ran")
	}
	return failed(errors.New("no dynamic linker"))
}

// setUID makes a program that belongs to root, and runs it as somebody else.
func setUID(*api, order) answer {
	dir, err := os.MkdirTemp("/tmp", "battery")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "program")
	if err := copied(name); err != nil {
		return failed(err)
	}
	// Behind walls the program cannot be given to root, and one's own set-uid bit changes nothing.
	owner := os.Chown(name, 0, 0)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(name, os.ModeSetuid|0o755)); err != nil {
		return failed(err)
	}
	cmd := exec.Command(name, "whoami")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return failed(errors.Join(err, owner))
	}
	if text := strings.TrimSpace(string(out)); text != "ran as 0" {
		info, _ := os.Stat(name)
		return failed(fmt.Errorf("%s, of a program with mode %v: %w", text, info.Mode(), owner))
	}
	return worked("%s", out)
}
