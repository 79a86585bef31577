package audit

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// mapping is a file mapped shared and locked against a second process. Danger: touching mem after close, or growing
// past what the file really has, kills the process; so the table's lock guards mem and the file is allocated, not
// sparse.
type mapping struct {
	file *os.File
	mem  []byte
}

// openMapping maps path, creating it with size bytes when it is new. An existing file keeps its size.
func openMapping(path string, size int64) (*mapping, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another process has %s open: %w", path, err)
	}
	m := &mapping{file: f}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 {
		size = info.Size()
	}
	if err == nil {
		err = m.remap(size)
	}
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// remap gives the file size bytes, really allocated where the file system can, and maps all of it.
func (m *mapping) remap(size int64) error {
	if m.mem != nil {
		if err := syscall.Munmap(m.mem); err != nil {
			return fmt.Errorf("unmapping: %w", err)
		}
		m.mem = nil
	}
	if err := m.file.Truncate(size); err != nil {
		return fmt.Errorf("sizing: %w", err)
	}
	if err := syscall.Fallocate(int(m.file.Fd()), 0, 0, size); err != nil && !errors.Is(err, syscall.EOPNOTSUPP) {
		return fmt.Errorf("allocating %d bytes: %w", size, err)
	}
	mem, err := syscall.Mmap(int(m.file.Fd()), 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mapping: %w", err)
	}
	m.mem = mem
	return nil
}

// close unmaps, which drops nothing that was stored, and gives up the lock.
func (m *mapping) close() error {
	var err error
	if m.mem != nil {
		err = syscall.Munmap(m.mem)
		m.mem = nil
	}
	return errors.Join(err, m.file.Close())
}
