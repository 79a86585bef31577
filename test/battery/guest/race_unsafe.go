package main

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// execRace executes a path that changes between the moment when it is looked at and the moment when it is used: one that
// is allowed, and the dynamic linker, which every allowed program needs and which runs any other.
func execRace(_ *api, o order) answer {
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
	if err != nil {
		return failed(err)
	}
	copy(page, "/usr/bin////true\x00")
	word := (*uint64)(unsafe.Pointer(&page[8]))
	var names [2]uint64
	for i, name := range []string{"////true", "///ld.so"} {
		names[i] = *(*uint64)(unsafe.Pointer(unsafe.StringData(name)))
	}
	var stop atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; !stop.Load(); i++ {
			atomic.StoreUint64(word, names[i%2])
			if i%63 == 0 { // now and then it stays for as long as a look takes
				time.Sleep(time.Duration(i/63%40) * time.Microsecond)
			}
		}
	}()
	defer func() { stop.Store(true); <-ended }()
	r, w, err := os.Pipe()
	if err != nil {
		return failed(err)
	}
	defer r.Close()
	argv, err := syscall.SlicePtrFromStrings([]string{"x", "/bin/echo", "ran"})
	if err != nil {
		return failed(err)
	}
	said := make(chan int, 1)
	go func() {
		n := 0
		for buf := make([]byte, 4096); ; {
			k, err := r.Read(buf)
			if n += k; err != nil {
				said <- n
				return
			}
		}
	}()
	times := o.number("times")
	ends := map[int]int{}
	for range times {
		ends[execOnce(&page[0], &argv[0], int(w.Fd()))]++
	}
	w.Close()
	if n := <-said; n > 0 {
		return worked("it ran %d times in %d", n/len("ran\n"), times)
	}
	return failed(errors.New(fmt.Sprint("never; how the children ended: ", ends)))
}

// execOnce executes in a child of one thread.
//
//go:norace
func execOnce(path *byte, argv **byte, out int) int {
	var env [1]*byte
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return -1
	}
	if pid == 0 {
		unix.RawSyscall(unix.SYS_DUP3, uintptr(out), 1, 0)
		_, _, errno := unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(argv)), uintptr(unsafe.Pointer(&env)))
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno)&0x7f, 0, 0)
		}
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &status, 0, nil); err != nil {
		return -1
	}
	return status.ExitStatus()
}
