package memory

import (
	"bytes"
	"fmt"
	"math/bits"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	window    = 64 << 10 // bytes, aligned, that the kernel maps at once when one of their pages is read (fault_around_bytes)
	keptGap   = 8        // pages between two kept ones that are compared as well: giving them back would cost more
	mostKept  = 2048     // pages that are kept; with 4 KiB a page 8 MiB
	keepAll   = 32       // a memory of so few pages is compared as a whole
	firstLook = 2        // event that is looked at first, then one after four times as many, until
	lastLook  = 8192     // from when on that is the distance
)

// habit is what was learnt of the pages that events use. It decides about cost alone: restore returns every page, kept or
// not. A page that is not kept is given back, and faulted in again with its window when it is used, which costs about ten
// times as much as comparing it.
type habit struct {
	kept   []span
	events int
	next   int // event to look at
	looks  int
	trial  int // page of each window that the event of now does without; below 0: no trial
}

func newHabit(pages int) habit {
	if pages <= keepAll {
		return habit{kept: []span{{0, pages}}, trial: -1}
	}
	return habit{next: firstLook, trial: -1}
}

// restore returns mem, the memory up to the snapshot's size, to the snapshot.
func (s *snapshot) restore(mem []byte) error {
	s.events++
	if s.trial >= 0 {
		if err := s.judge(mem); err != nil {
			return err
		}
	}
	switch s.events {
	case s.next:
		if err := s.look(mem); err != nil {
			return err
		}
	case s.next - 1: // the event that is looked at finds no page
		return giveBack(mem)
	}
	at := 0
	for _, k := range s.kept {
		if err := giveBack(mem[at*s.page : k.from*s.page]); err != nil {
			return err
		}
		for p := k.from; p < k.to; p++ {
			if have, want := s.of(mem, p), s.want(p); !bytes.Equal(have, want) {
				copy(have, want)
			}
		}
		at = k.to
	}
	if err := giveBack(mem[at*s.page:]); err != nil {
		return err
	}
	return s.try(mem)
}

// look finds the pages that the last event used. At least half of the last four looks must have found one for it to be kept.
func (s *snapshot) look(mem []byte) error {
	distance := min(3*s.next, lastLook)
	s.next += distance
	s.looks = min(s.looks+1, 4)
	hit, err := s.mapped(mem)
	if err != nil {
		return err
	}
	found := 0
	for p := range s.pages {
		heat := s.pages[p].heat << 1 & 0xf
		if hit[p] || s.pages[p].backed && !bytes.Equal(s.of(mem, p), s.want(p)) {
			heat |= 1
		}
		s.pages[p].heat = heat
		if s.hot(s.pages[p]) {
			if found++; found > mostKept {
				s.pages[p].heat = 0
			}
		}
	}
	s.kept = s.spans(keptGap, s.hot)
	if distance > 2*window/s.page {
		s.trial = 0
	}
	return nil
}

func (s *snapshot) hot(p pageState) bool { return 2*bits.OnesCount8(p.heat) >= s.looks }

// mapped says of every page whether the last event had it mapped. Of anonymous pages the kernel tells. Of others it tells
// whether the file has them; but that a window was not mapped shows in the count of this thread's faults when it is
// touched, and the one page of it that was written shows by its contents. It changes what it asks for.
func (s *snapshot) mapped(mem []byte) ([]bool, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	core := make([]byte, len(s.pages))
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)), uintptr(unsafe.Pointer(&core[0]))); e != 0 {
		return nil, fmt.Errorf("looking for mapped pages: %w", e)
	}
	out := make([]bool, len(s.pages))
	each, asked, there := window/s.page, -1, false
	for p := range out {
		if !s.pages[p].backed {
			out[p] = core[p]&1 != 0
			continue
		}
		if p/each != asked {
			asked = p / each
			var err error
			if there, err = touch(mem[p*s.page:]); err != nil {
				return nil, err
			}
		}
		out[p] = there
	}
	return out, nil
}

// touch reads a byte, and says whether that was possible without a fault. The caller stays on its thread.
func touch(b []byte) (there bool, err error) {
	var before, after unix.Rusage
	if err = unix.Getrusage(unix.RUSAGE_THREAD, &before); err == nil {
		runtime.KeepAlive(b[0])
		err = unix.Getrusage(unix.RUSAGE_THREAD, &after)
	}
	if err != nil {
		return false, fmt.Errorf("counting faults: %w", err)
	}
	return after.Minflt == before.Minflt, nil
}

// try takes one page of each window from the next event, to see whether it was kept for the sake of its neighbours.
func (s *snapshot) try(mem []byte) error {
	for p := range s.tried() {
		if err := giveBack(s.of(mem, p)); err != nil {
			return err
		}
	}
	return nil
}

// judge forgets those of the tried pages that the event did not use.
func (s *snapshot) judge(mem []byte) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for p := range s.tried() {
		there, err := touch(s.of(mem, p))
		if err != nil {
			return err
		}
		if !there {
			s.pages[p].heat = 0
		}
	}
	if s.trial++; s.trial == window/s.page {
		s.trial = -1
		s.kept = s.spans(keptGap, s.hot)
	}
	return nil
}

// tried yields the pages of the trial of now.
func (s *snapshot) tried() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		if s.trial < 0 {
			return
		}
		for p := s.trial; p < len(s.pages); p += window / s.page {
			if s.pages[p].backed && s.hot(s.pages[p]) && !yield(p) {
				return
			}
		}
	}
}
