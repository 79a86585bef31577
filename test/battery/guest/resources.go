package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// resources use up what a machine has. The bounds are twice what the function was given.
func resources() map[string]func(*api, order) answer {
	return map[string]func(*api, order) answer{
		"fork bomb":        func(_ *api, o order) answer { return forks(o.number("most"), false) },
		"zombies":          func(_ *api, o order) answer { return forks(o.number("most"), true) },
		"memory":           memory,
		"large file":       largeFile,
		"many files":       manyFiles,
		"descriptors":      descriptors,
		"output flood":     outputFlood,
		"burn":             burn,
		"moving threads":   moveThreads,
		"process outlives": outlives,
		"threads":          threads,
		"refused calls": func(_ *api, o order) answer {
			for range o.number("most") {
				_ = unix.Unshare(unix.CLONE_NEWUSER) // it is about the refusal
			}
			return answer{}
		},
		"open flood": func(_ *api, o order) answer {
			for i := range o.number("most") {
				for _, name := range []string{"/usr/share/", "/etc/passwd", "/nothing/"} {
					if fd, err := unix.Open(name+strconv.Itoa(i), unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
						unix.Close(fd)
					}
				}
			}
			return answer{}
		},
		"refused connections": func(_ *api, o order) answer {
			var last error
			for range o.number("most") {
				_, last = connect(&net.TCPAddr{IP: net.IPv4(93, 184, 216, 34), Port: 81})
			}
			return answer{Detail: fmt.Sprint(last)}
		},
	}
}

func (o order) number(name string) int {
	n, err := strconv.Atoi(o[name])
	if err != nil {
		panic(name + ": " + err.Error())
	}
	return n
}

// fork makes a child that does nothing: no Go runs in it.
//
//go:norace
func fork(ends bool) (int, error) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if pid == 0 {
		for !ends {
			unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return int(pid), nil
}

// forks makes children until it gets no more, or has most. They are all ended.
func forks(most int, zombies bool) answer {
	var pids []int
	var err error
	for err == nil && len(pids) < most {
		var pid int
		if pid, err = fork(zombies); err == nil {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGKILL) // a zombie has ended already
		_, _ = unix.Wait4(pid, nil, 0, nil)
	}
	return answer{Worked: len(pids) == most, Detail: fmt.Sprintf("%d processes, %v", len(pids), err)}
}

// threads makes threads that wait.
func threads(_ *api, o order) answer {
	var held, ready sync.WaitGroup
	held.Add(1)
	most := o.number("most")
	for range most { // the Go runtime ends the process when it gets no thread
		ready.Add(1)
		go func() {
			runtime.LockOSThread()
			ready.Done()
			held.Wait()
		}()
	}
	ready.Wait()
	held.Done()
	return worked("%d threads", most)
}

// memory takes so much, and uses it.
func memory(_ *api, o order) answer {
	const step = 1 << 20
	most := o.number("bytes")
	for got := 0; got < most; got += step {
		block, err := unix.Mmap(-1, 0, step, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return failed(fmt.Errorf("after %d bytes: %w", got, err))
		}
		for i := 0; i < step; i += 4096 {
			block[i] = 1
		}
	}
	return worked("%d bytes", most)
}

// largeFile fills /tmp.
func largeFile(_ *api, o order) answer {
	dir, err := os.MkdirTemp("/tmp", "battery")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	most := o.number("bytes")
	block := bytes.Repeat([]byte("x"), 1<<20)
	for i := 0; i*len(block) < most; i++ { // several files: one has a bound of its own
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), block, 0o600); err != nil {
			return failed(fmt.Errorf("after %d MB: %w", i, err))
		}
	}
	return worked("%d bytes", most)
}

// manyFiles uses the inodes of /tmp up.
func manyFiles(_ *api, o order) answer {
	dir, err := os.MkdirTemp("/tmp", "battery")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	most := o.number("most")
	for i := range most {
		if err := os.Symlink("x", filepath.Join(dir, strconv.Itoa(i))); err != nil {
			return failed(fmt.Errorf("after %d: %w", i, err))
		}
	}
	return worked("%d files", most)
}

func descriptors(_ *api, o order) answer {
	most := o.number("most")
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for len(fds) < most {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
		if err != nil {
			return failed(fmt.Errorf("after %d: %w", len(fds), err))
		}
		fds = append(fds, fd)
	}
	return worked("%d descriptors", most)
}

// outputFlood writes lines. The suite counts what is kept of them.
func outputFlood(_ *api, o order) answer {
	line := append(bytes.Repeat([]byte("flood "), 170), '\n')
	most := o.number("bytes")
	for n := 0; n < most; n += len(line) {
		if _, err := os.Stdout.Write(line); err != nil {
			return failed(fmt.Errorf("after %d bytes: %w", n, err))
		}
	}
	return answer{Detail: fmt.Sprintf("%d bytes were written", most)}
}

// burn keeps every processor busy.
func burn(_ *api, o order) answer {
	end := time.Now().Add(time.Duration(o.number("ms")) * time.Millisecond)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := uint64(1); n%(1<<20) != 0 || time.Now().Before(end); n++ {
			}
		})
	}
	all.Wait()
	return answer{}
}

// moveThreads has the kernel move threads from one processor to another as fast as it can: it does so before anything else.
func moveThreads(_ *api, o order) answer {
	end := time.Now().Add(time.Duration(o.number("ms")) * time.Millisecond)
	var refused error
	var once sync.Once
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its processors
			for i := 0; time.Now().Before(end); i++ {
				var set unix.CPUSet
				set.Set(i % runtime.NumCPU())
				if err := unix.SchedSetaffinity(0, &set); err != nil {
					once.Do(func() { refused = err })
					return
				}
			}
		})
	}
	all.Wait()
	return answer{Detail: fmt.Sprint("refused: ", refused)}
}

// outlives leaves a process behind when the sandbox ends. It ends itself after a while.
func outlives(_ *api, o order) answer {
	if pid, err := startSelf("linger", o["seconds"]); err != nil {
		// Executing is refused: a bare fork will do.
		if pid, err = fork(false); err != nil {
			return failed(err)
		}
		return answer{Detail: strconv.Itoa(pid)}
	} else {
		return answer{Detail: strconv.Itoa(pid)}
	}
}

var errNotThere = errors.New("it is not there")
