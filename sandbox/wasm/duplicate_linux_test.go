package wasm

import (
	"os"

	"golang.org/x/sys/unix"
)

// duplicate gives a descriptor of the same socket that Go's poller handles.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "rogue"), nil
}
