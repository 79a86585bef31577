package commit

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// MaxRecord bounds what a caller stores as one record, in bytes; a State may put up to 4 KiB of its own before it.
const MaxRecord = 8 << 20

// A journal is a dense sequence of records. What one commit gathered is one block: a single JetStream message, so a
// commit costs one message and one fsync however many records it holds. Every record keeps a checksum of its own.
//
//	frame: crc32c(rest) u32 | len(data) u32 | sequence u64 | unix nanoseconds i64 | data
//	block: "CMB1" | crc32c(rest of the head) u32 | records u32 | bytes of frames u32 | first sequence u64 | frames
//
// All little-endian. The spool holds bare frames.
const (
	frameHead  = 24
	blockHead  = 24
	blockMagic = 0x31424d43
	maxFrame   = MaxRecord + 4096
)

var (
	errTorn = errors.New("bytes end inside a frame")
	errSum  = errors.New("checksum does not match")
	errForm = errors.New("not a block of records")
)

// Record is one element of a journal.
type Record struct {
	Seq  uint64
	At   int64 // Unix nanoseconds
	Data []byte
}

// checksum is CRC-32C, which amd64 and arm64 compute in hardware.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// appendFrame adds one record whose data is head followed by data.
func appendFrame(dst []byte, seq uint64, at int64, head, data []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(head)+len(data)))
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at))
	dst = append(append(dst, head...), data...)
	binary.LittleEndian.PutUint32(dst[start:], checksum(dst[start+4:]))
	return dst
}

// nextFrame reads the first record of src; its data is a part of src.
func nextFrame(src []byte) (r Record, rest []byte, err error) {
	if len(src) < frameHead {
		return r, nil, errTorn
	}
	n := uint64(binary.LittleEndian.Uint32(src[4:]))
	if n > maxFrame {
		return r, nil, errSum
	}
	if uint64(len(src)) < frameHead+n {
		return r, nil, errTorn
	}
	end := frameHead + int(n)
	if binary.LittleEndian.Uint32(src) != checksum(src[4:end]) {
		return r, nil, errSum
	}
	r.Seq = binary.LittleEndian.Uint64(src[8:])
	r.At = int64(binary.LittleEndian.Uint64(src[16:]))
	r.Data = src[frameHead:end:end]
	return r, src[end:], nil
}

// sealBlock fills the head of a block whose frames start at blockHead.
func sealBlock(buf []byte, first uint64, count int) {
	binary.LittleEndian.PutUint32(buf, blockMagic)
	binary.LittleEndian.PutUint32(buf[8:], uint32(count))
	binary.LittleEndian.PutUint32(buf[12:], uint32(len(buf)-blockHead))
	binary.LittleEndian.PutUint64(buf[16:], first)
	binary.LittleEndian.PutUint32(buf[4:], checksum(buf[8:blockHead]))
}

// blockRange reads a block's head: its first sequence and the one after its last.
func blockRange(buf []byte) (first, end uint64, err error) {
	if len(buf) < blockHead || binary.LittleEndian.Uint32(buf) != blockMagic {
		return 0, 0, errForm
	}
	if binary.LittleEndian.Uint32(buf[4:]) != checksum(buf[8:blockHead]) {
		return 0, 0, errSum
	}
	count := uint64(binary.LittleEndian.Uint32(buf[8:]))
	first = binary.LittleEndian.Uint64(buf[16:])
	if int64(binary.LittleEndian.Uint32(buf[12:])) != int64(len(buf)-blockHead) || count == 0 || first == 0 || first+count < first {
		return 0, 0, errForm
	}
	return first, first + count, nil
}

// walkFrames calls visit for the records of frames, which must be dense from first on, until it answers false. On an
// error the sequence is that of the record that cannot be read.
func walkFrames(frames []byte, first uint64, visit func(Record) bool) (uint64, error) {
	seq := first
	for len(frames) > 0 {
		r, rest, err := nextFrame(frames)
		if err == nil && r.Seq != seq {
			err = errForm
		}
		if err != nil {
			return seq, err
		}
		if !visit(r) {
			return seq, nil
		}
		seq, frames = seq+1, rest
	}
	return seq, nil
}
