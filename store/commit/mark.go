package commit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// mark is the small file beside a journal that says how far it has come, so that a journal which comes back shorter is
// noticed. Two slots take turns: a torn write leaves the other one. Each commit is written before it is acknowledged but
// not fsynced, so after a power cut the mark may lag behind, never lead.
//
//	slot: crc32c(rest) u32 | "CMM1" u32 | turn u64 | last acknowledged sequence u64 | last sequence let go u64
type mark struct {
	file  *os.File
	turn  uint64
	acked uint64 // every record up to here has been acknowledged as durable
	base  uint64 // records up to here were let go by the journal's own cleaning
}

const (
	slotSize  = 32
	slotMagic = 0x314d4d43
)

// openMark opens or makes the file. found tells whether a valid slot was there.
func openMark(path string) (m *mark, found bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("opening mark: %w", err)
	}
	buf := make([]byte, 2*slotSize)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, false, fmt.Errorf("reading mark: %w", err)
	}
	m = &mark{file: f}
	for at := 0; at+slotSize <= n; at += slotSize {
		found = m.take(buf[at:at+slotSize]) || found
	}
	if !found && n > 0 && !allZero(buf[:n]) {
		f.Close()
		return nil, false, errSum
	}
	return m, found, nil
}

// take adopts a slot when it is whole and newer.
func (m *mark) take(slot []byte) bool {
	if binary.LittleEndian.Uint32(slot) != checksum(slot[4:]) || binary.LittleEndian.Uint32(slot[4:]) != slotMagic {
		return false
	}
	if turn := binary.LittleEndian.Uint64(slot[8:]); turn >= m.turn {
		m.turn, m.acked, m.base = turn, binary.LittleEndian.Uint64(slot[16:]), binary.LittleEndian.Uint64(slot[24:])
	}
	return true
}

// write stores both numbers; sync asks for an fsync too.
func (m *mark) write(acked, base uint64, sync bool) error {
	m.turn++
	m.acked, m.base = acked, base
	var slot [slotSize]byte
	binary.LittleEndian.PutUint32(slot[4:], slotMagic)
	binary.LittleEndian.PutUint64(slot[8:], m.turn)
	binary.LittleEndian.PutUint64(slot[16:], acked)
	binary.LittleEndian.PutUint64(slot[24:], base)
	binary.LittleEndian.PutUint32(slot[:], checksum(slot[4:]))
	if _, err := m.file.WriteAt(slot[:], int64(m.turn%2)*slotSize); err != nil {
		return fmt.Errorf("writing mark: %w", err)
	}
	if sync {
		if err := m.file.Sync(); err != nil {
			return fmt.Errorf("writing mark: %w", err)
		}
	}
	return nil
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
