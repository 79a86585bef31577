package commit

import "encoding/binary"

// Fields reads what a State put into its records off the front: numbers of variable length, and bytes. After one that is not
// there Bad is set, and all that follow are zero: ask once, at the end.
type Fields struct {
	Rest []byte // what was not read yet
	Bad  bool
}

// Unsigned is the number that binary.AppendUvarint wrote.
func (f *Fields) Unsigned() uint64 {
	v, n := binary.Uvarint(f.Rest)
	f.skip(n)
	return v
}

// Signed is the number that binary.AppendVarint wrote.
func (f *Fields) Signed() int64 {
	v, n := binary.Varint(f.Rest)
	f.skip(n)
	return v
}

// Bytes are the next n bytes, where they stand: who keeps them copies them.
func (f *Fields) Bytes(n uint64) []byte {
	if n > uint64(len(f.Rest)) {
		f.Bad, f.Rest = true, nil
		return nil
	}
	b := f.Rest[:n:n]
	f.Rest = f.Rest[n:]
	return b
}

func (f *Fields) skip(n int) {
	if n <= 0 {
		f.Bad, f.Rest = true, nil
		return
	}
	f.Rest = f.Rest[n:]
}
