package commit

import (
	"fmt"
	"syscall"

	"casemate"
)

// JetStream gives up for good when one of its writes meets a full disk, so the store never lets it come to that: below
// Reserve free bytes new writes are refused, but for streams, which hold records: refusals and looks at a node whose disk
// is full are recorded too, down to half of it. Below a quarter a block that was already accepted waits. Reads go on.
// Space that returns is noticed by the next write.

// DiskFree is Config.Free as the kernel answers it: the bytes that this user may still write on dir's disk.
func DiskFree(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("asking for free disk space: %w", err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// fullError is the refusal.
func fullError() *casemate.Error {
	e := casemate.Errorf(casemate.Unavailable, "free disk space; the store recovers by itself", "the disk is full")
	e.Retry = 5
	return e
}

// measure looks at the disk and remembers whether new writes must be refused. An unreadable disk counts as full.
func (h *Host) measure() int64 {
	free, err := h.cfg.Free(h.cfg.Dir)
	if err != nil {
		h.cfg.Log.Error("disk space unknown", "err", err)
		free = 0
	}
	h.full.Store(free < h.cfg.Reserve)
	return free
}

// roomy refuses a new write while less than so many bytes are free. It asks the kernel only while less than the reserve
// is; commits keep the answer fresh.
func (h *Host) roomy(need int64) error {
	if h.full.Load() && h.measure() < need {
		return fullError()
	}
	return nil
}

// Room is Roomy at the price of a look at memory, while there is room.
func (h *Host) Room() error { return h.roomy(h.cfg.Reserve) }

// RoomFor refuses to hand size bytes to the disk when they might be its last.
func (h *Host) RoomFor(size int) error {
	if h.measure() < int64(size)+h.cfg.Reserve/4 {
		return fullError()
	}
	return nil
}

// Roomy refuses a new write while less than the reserve is free.
func (h *Host) Roomy() error {
	if h.measure() < h.cfg.Reserve {
		return fullError()
	}
	return nil
}
