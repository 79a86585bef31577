package audit

import (
	"bytes"
	"testing"
)

// FuzzTable holds that no content of the in-flight file crashes the start or is passed over.
func FuzzTable(f *testing.F) {
	m := make([]byte, headerSize+2*slotSize)
	t := newTable(&mapping{mem: m}, 2)
	if err := t.take(record(1), 7); err != nil {
		f.Fatal(err)
	}
	f.Add(m[headerSize : headerSize+slotSize])
	f.Add(bytes.Repeat([]byte{0xff}, slotSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := make([]byte, headerSize+slotSize)
		n := copy(mem[headerSize:], b)
		left := leftovers(mem)
		if occupied := n >= 4 && !bytes.Equal(mem[headerSize:headerSize+4], make([]byte, 4)) || n < 4 && len(bytes.Trim(b, "\x00")) > 0; occupied != (len(left) == 1) {
			t.Fatalf("occupied %v, leftovers %v", occupied, left)
		}
	})
}
