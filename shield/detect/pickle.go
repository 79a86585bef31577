package detect

import (
	"bytes"
	"encoding/binary"
)

// pickle reports whether v, read as a pickle of Python, comes to look up something by name and to call it. The opcodes are
// those of CPython's pickletools.py; a pickle of numbers, texts, lists and maps alone does no harm.
func pickle(v []byte) bool {
	if len(v) < 8 {
		return false
	}
	r := opcodes{v: v}
	if v[0] == 0x80 {
		if v[1] > 5 {
			return false
		}
		r.i = 2
	} else if v[0] != 'c' && v[0] != '(' && v[0] != 'i' {
		return false
	}
	for n := 0; n < maxOpcodes && r.i < len(v); n++ {
		switch r.next() {
		case calls:
			return true
		case stops:
			return false
		}
	}
	return r.i < len(v) // longer than anybody needs
}

const maxOpcodes = 100_000

type outcome uint8

const (
	goes outcome = iota
	calls
	stops
)

// opcodes reads a pickle.
type opcodes struct {
	v     []byte
	i     int
	names bool // something was looked up by name
	text  int  // texts pushed: what STACK_GLOBAL takes
}

// global reads the lines that name a module and what is in it.
func (r *opcodes) global() bool {
	module := dotted(r.lineOf())
	return module && dotted(r.lineOf())
}

func (r *opcodes) next() outcome {
	op := r.v[r.i]
	r.i++
	switch op {
	case 'c': // GLOBAL: module and name on a line each
		if !r.global() {
			return stops
		}
		r.names = true
	case 'i': // INST looks up and calls
		if r.global() {
			return calls
		}
		return stops
	case 0x93: // STACK_GLOBAL
		if r.text < 2 {
			return stops
		}
		r.names = true
	case 0x82, 0x83, 0x84: // EXT: a class by number
		r.names = true
		r.i += 1 << (op - 0x82)
	case 'R', 'b', 'o', 0x81, 0x92: // REDUCE, BUILD, OBJ, NEWOBJ, NEWOBJ_EX
		if r.names {
			return calls
		}
		if r.v[0] != 0x80 {
			return stops
		}
	case '.':
		return stops
	default:
		return r.data(op)
	}
	return goes
}

// data skips an opcode that only makes values.
func (r *opcodes) data(op byte) outcome {
	switch op {
	case 'I', 'L', 'F', 'S', 'V', 'g', 'p', 'P':
		if r.lineOf() == nil {
			return stops
		}
		if op == 'S' || op == 'V' {
			r.text++
		}
	case 'K', 'h', 'q':
		r.i++
	case 'M':
		r.i += 2
	case 'J', 'j', 'r':
		r.i += 4
	case 'G':
		r.i += 8
	case 0x95: // FRAME
		r.i += 8
	case 0x80: // PROTO
		r.i++
	case 'U', 'C', 0x8c, 0x8a:
		r.skip(1, op == 'U' || op == 0x8c)
	case 'X', 'T', 'B', 0x8b:
		r.skip(4, op == 'X' || op == 'T')
	case 0x8d, 0x8e, 0x96:
		r.skip(8, op == 0x8d)
	case '(', 'N', '0', '1', '2', 'Q', ']', 'a', 'e', 'd', '}', 's', 'u', 'l', 't', ')', 0x85, 0x86, 0x87, 0x88, 0x89, 0x8f, 0x90, 0x91, 0x94, 0x97, 0x98:
	default:
		return stops
	}
	return goes
}

// skip passes bytes behind a length of so many bytes.
func (r *opcodes) skip(size int, text bool) {
	if r.i+size > len(r.v) {
		r.i = len(r.v)
		return
	}
	var b [8]byte
	copy(b[:], r.v[r.i:r.i+size])
	n := binary.LittleEndian.Uint64(b[:])
	if r.i += size; n > uint64(len(r.v)-r.i) {
		r.i = len(r.v)
		return
	}
	r.i += int(n)
	if text {
		r.text++
	}
}

// lineOf gives what stands before the next line feed, nil when there is none.
func (r *opcodes) lineOf() []byte {
	if r.i > len(r.v) {
		return nil
	}
	end := bytes.IndexByte(r.v[r.i:], '\n')
	if end < 0 {
		r.i = len(r.v)
		return nil
	}
	line := r.v[r.i : r.i+end]
	r.i += end + 1
	return line
}

// dotted reports whether v is a name of Python, with its modules.
func dotted(v []byte) bool {
	v = bytes.TrimSuffix(v, []byte("\r"))
	if len(v) == 0 || len(v) > 200 || v[0] >= '0' && v[0] <= '9' {
		return false
	}
	for _, c := range v {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' {
			continue
		}
		return false
	}
	return true
}
