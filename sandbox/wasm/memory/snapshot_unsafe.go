package memory

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	runGap    = 16 // pages of zeroes between two runs that are mapped as one; more are left out of the snapshot
	mostSpans = 64 // mappings, and ranges that are kept: beyond that gaps are bridged
)

// ErrSnapshot: there can be no snapshot; the memory is as it was.
var ErrSnapshot = errors.New("no snapshot could be taken")

// span is a range of pages of the host, [from, to).
type span struct{ from, to int }

// snapshot is a linear memory as it stood once, in a sealed memory file. Its pages are mapped copy-on-write over the memory
// itself: a page that an event changed becomes the event's own, and giving it back brings the snapshot's again. A fault a
// page and event is dear, so pages that most events use are kept, and restored by copying (habit).
type snapshot struct {
	size  uint64
	page  int
	image []byte // the memory file, read-only; only pages that are backed may be touched
	zero  []byte // one page
	pages []pageState
	habit
}

type pageState struct {
	backed bool  // it is in the memory file; otherwise it was all zeroes
	heat   uint8 // whether an event was found to use it, the latest look in the lowest bit
}

// Freeze makes the memory of now the state that Reset returns to. most bounds the bytes that it may hold on to. After an
// error other than ErrSnapshot the memory is in no state to be used.
func (a *Arena) Freeze(most int) error {
	mem := a.base[:a.size]
	s := &snapshot{size: a.size, page: os.Getpagesize()}
	s.zero, s.pages = make([]byte, s.page), make([]pageState, len(mem)/s.page)
	for p := range s.pages {
		s.pages[p].backed = !bytes.Equal(s.of(mem, p), s.zero)
	}
	runs := s.spans(runGap, func(p pageState) bool { return p.backed })
	held := 0
	for _, r := range runs {
		held += (r.to - r.from) * s.page
		for p := r.from; p < r.to; p++ {
			s.pages[p].backed = true
		}
	}
	if held > most {
		return fmt.Errorf("%w: it would hold %d MB, and its bound is %d MB", ErrSnapshot, held>>20, most>>20)
	}
	s.habit = newHabit(len(s.pages))
	if held > 0 {
		fd, err := s.seal(mem, runs)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSnapshot, err)
		}
		defer unix.Close(fd) // mappings keep it
		if err = s.overlay(fd, mem, runs); err != nil {
			return err
		}
	}
	a.snap, a.high = s, a.size
	return nil
}

// seal writes the runs to a memory file that nobody can change any more. The caller closes it.
func (s *snapshot) seal(mem []byte, runs []span) (fd int, err error) {
	if fd, err = unix.MemfdCreate("snapshot", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING); err != nil {
		return -1, fmt.Errorf("making a memory file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err = unix.Ftruncate(fd, int64(s.size)); err != nil {
		return -1, fmt.Errorf("sizing a memory file: %w", err)
	}
	for _, r := range runs {
		if _, err = unix.Seek(fd, int64(r.from*s.page), 0); err == nil {
			err = write(fd, mem[r.from*s.page:r.to*s.page])
		}
		if err != nil {
			return -1, fmt.Errorf("writing a snapshot: %w", err)
		}
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return -1, fmt.Errorf("sealing a snapshot: %w", err)
	}
	if s.image, err = unix.Mmap(fd, 0, int(s.size), unix.PROT_READ, unix.MAP_PRIVATE); err != nil {
		return -1, fmt.Errorf("mapping a snapshot: %w", err)
	}
	return fd, nil
}

func write(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

// overlay maps the runs of a memory file over the memory that they were taken from.
func (s *snapshot) overlay(fd int, mem []byte, runs []span) error {
	for _, r := range runs {
		// MAP_FIXED over the arena's own range: what it held is in the file.
		at := unsafe.Pointer(&mem[r.from*s.page])
		if _, err := unix.MmapPtr(fd, int64(r.from*s.page), at, uintptr((r.to-r.from)*s.page), unix.PROT_READ|unix.PROT_WRITE,
			unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE); err != nil {
			return fmt.Errorf("mapping a snapshot over its memory: %w", err)
		}
	}
	return nil
}

// Thaw gives the snapshot up: the memory is zeroes, and stays without one.
func (a *Arena) Thaw() error {
	s := a.snap
	a.snap = nil
	if s == nil || s.image == nil {
		return nil
	}
	if err := unix.Munmap(s.image); err != nil {
		return fmt.Errorf("giving up a snapshot: %w", err)
	}
	if _, err := unix.MmapPtr(-1, 0, unsafe.Pointer(&a.base[0]), uintptr(s.size), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE); err != nil {
		return fmt.Errorf("giving up a snapshot: %w", err)
	}
	return nil
}

// of is page p of mem.
func (s *snapshot) of(mem []byte, p int) []byte { return mem[p*s.page : (p+1)*s.page : (p+1)*s.page] }

// want is what page p must hold.
func (s *snapshot) want(p int) []byte {
	if s.pages[p].backed {
		return s.of(s.image, p)
	}
	return s.zero
}

// spans are the ranges of pages that which chooses. Gaps of up to gap pages are bridged, longer ones when there would be
// too many ranges.
func (s *snapshot) spans(gap int, which func(pageState) bool) []span {
	for {
		var out []span
		for p, state := range s.pages {
			if !which(state) {
				continue
			}
			if n := len(out); n > 0 && p-out[n-1].to <= gap {
				out[n-1].to = p + 1
			} else {
				out = append(out, span{p, p + 1})
			}
		}
		if len(out) <= mostSpans {
			return out
		}
		gap *= 2
	}
}
