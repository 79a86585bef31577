package module

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Sections of a module, in the order they must have
// (https://webassembly.github.io/spec/core/binary/modules.html#sections). 13, the tag section, belongs to exception
// handling, which is not supported.
const (
	sectionCustom    = 0
	sectionType      = 1
	sectionImport    = 2
	sectionFunction  = 3
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionStart     = 8
	sectionElement   = 9
	sectionCode      = 10
	sectionData      = 11
	sectionDataCount = 12
)

// sectionLimits bound what is listed, so that a small file cannot ask for a large allocation.
const (
	typeLimit   = 1 << 16
	importLimit = 1 << 12
	exportLimit = 1 << 16
	nameLimit   = 1 << 12
	countLimit  = 1 << 20
)

// order gives a section's place: the data count stands before the code.
func order(id byte) int {
	if id == sectionDataCount {
		return 2*sectionCode - 1
	}
	return 2 * int(id)
}

func (in *inspection) sections(b []byte) error {
	in.exports = map[string]uint32{}
	c := &cursor{b: b}
	last := 0
	for len(c.b) > 0 {
		id := c.byte()
		body := c.take(c.u32())
		if c.bad {
			return fmt.Errorf("section %d", id)
		}
		if id == sectionCustom {
			s := &cursor{b: body}
			if s.name(); s.bad {
				return fmt.Errorf("a custom section without a name")
			}
			continue
		}
		if id > sectionDataCount || order(id) <= last {
			return fmt.Errorf("section %d is unknown or out of order", id)
		}
		last = order(id)
		s := &cursor{b: body}
		if err := in.section(id, s); err != nil {
			return err
		}
		if s.bad {
			return fmt.Errorf("section %d", id)
		}
	}
	return nil
}

// section reads the ones that matter here; the others are the compiler's to check.
func (in *inspection) section(id byte, c *cursor) error {
	var read func(*cursor) error
	limit := uint32(countLimit)
	switch id {
	case sectionType:
		read, limit = in.oneType, typeLimit
	case sectionImport:
		read, limit = in.oneImport, importLimit
	case sectionFunction:
		read = in.oneFunction
	case sectionTable:
		read, limit = in.oneTable, 64
	case sectionMemory:
		read, limit = in.oneMemory, 1
	case sectionExport:
		read, limit = in.oneExport, exportLimit
	default:
		return nil
	}
	n := c.u32()
	if n > limit {
		return fmt.Errorf("section %d lists %d entries and the bound is %d", id, n, limit)
	}
	for range n {
		if err := read(c); err != nil {
			return err
		}
		if c.bad {
			return fmt.Errorf("section %d", id)
		}
	}
	if len(c.b) != 0 {
		return fmt.Errorf("section %d has %d bytes too many", id, len(c.b))
	}
	return nil
}

func (in *inspection) oneType(c *cursor) error {
	if form := c.byte(); form != 0x60 && !c.bad {
		return fmt.Errorf("type form %#x", form)
	}
	start := c.b
	for range 2 { // parameters, results: one byte each
		for _, t := range c.take(c.u32()) {
			if !isValueType(t) {
				return unknownTypef(t)
			}
		}
	}
	if c.bad {
		return nil
	}
	in.types = append(in.types, signature(start[:len(start)-len(c.b)]))
	return nil
}

func (in *inspection) oneImport(c *cursor) error {
	module, name, what := c.name(), c.name(), c.byte()
	if c.bad {
		return nil
	}
	own, ours := hostFunctions[name]
	switch {
	case module == ImportModule && ours && what == 0:
		name = module + "." + name
	case module == ImportModule:
		return refusedf("only "+ImportSend+" and "+ImportRead+" are there to be imported", "the module imports %.100q from %q", name, module)
	case module != WASI || !slices.Contains(wasiFunctions[:], name) || what != 0:
		return refusedf("only functions of "+WASI+" are provided, and those of "+ImportModule+" for HTTP; build for wasip1 without other imports",
			"the module imports %.100q from %.100q", name, module)
	}
	index := c.u32()
	switch {
	case c.bad:
		return nil
	case int64(index) >= int64(len(in.types)):
		return fmt.Errorf("import %.100q has no type", name)
	case module == ImportModule && in.types[index] != own:
		return refusedf("see the documentation of WebAssembly functions for its parameters and results", "the module imports %s with the wrong type", name)
	}
	in.functions = append(in.functions, index)
	in.imports = append(in.imports, name)
	return nil
}

func (in *inspection) oneFunction(c *cursor) error {
	index := c.u32()
	if !c.bad && int64(index) >= int64(len(in.types)) {
		return fmt.Errorf("function of type %d", index)
	}
	in.functions = append(in.functions, index)
	return nil
}

func (in *inspection) oneTable(c *cursor) error {
	element := c.byte()
	lo, _, form := c.limits()
	if !c.bad && !isReference(element) {
		return unknownTypef(element)
	}
	if form > 1 && !c.bad {
		return fmt.Errorf("limits %#x of a table", form)
	}
	if !c.bad && lo > TableLimit {
		return refusedf("make the table smaller", "a table starts with %d elements and the bound is %d", lo, TableLimit)
	}
	return nil
}

func (in *inspection) oneMemory(c *cursor) error {
	lo, hi, form := c.limits()
	in.memories++
	if form > 1 && !c.bad {
		return refusedf("build without threads and with 32-bit memory", "the module's memory is shared or 64 bits wide")
	}
	if lo > 1<<16 || hi > 1<<16 {
		return fmt.Errorf("memory of %d to %d pages", lo, hi)
	}
	in.min, in.max = lo, hi
	return nil
}

func (in *inspection) oneExport(c *cursor) error {
	name, what, index := c.name(), c.byte(), c.u32()
	if c.bad {
		return nil
	}
	if what > 3 {
		return fmt.Errorf("export %.100q of kind %d", name, what)
	}
	if _, twice := in.exports[name]; twice {
		return fmt.Errorf("export %.100q twice", name)
	}
	if strings.HasPrefix(name, reserved) {
		return refusedf("give it another name", "the module exports %.100q: names with %q in front are the worker's own", name, reserved)
	}
	if what == 0 {
		if int64(index) >= int64(len(in.functions)) {
			return fmt.Errorf("export %.100q of function %d", name, index)
		}
		in.exports[name] = index
	}
	in.exported = in.exported || what == 2 && name == "memory"
	in.names = append(in.names, name)
	return nil
}

func unknownTypef(t byte) error {
	return refusedf("build for WebAssembly 2.0, without garbage collection and typed references",
		"the module has a type that is not supported, %#x", t)
}

// cursor reads a section. After the first thing that is not there it is bad, and gives zeroes.
type cursor struct {
	b   []byte
	bad bool
}

// fail makes the cursor bad, with nothing left.
func (c *cursor) fail() { c.bad, c.b = true, nil }

func (c *cursor) require(holds bool) {
	if !holds {
		c.fail()
	}
}

func (c *cursor) take(n uint32) []byte {
	if c.bad || int64(n) > int64(len(c.b)) {
		c.fail()
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.fail()
		return 0
	}
	b := c.b[0]
	c.b = c.b[1:]
	return b
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (c *cursor) u32() uint32 {
	if len(c.b) > 0 && c.b[0] < 0x80 { // most of them; a bad cursor has nothing left
		b := c.b[0]
		c.b = c.b[1:]
		return uint32(b)
	}
	return c.longU32()
}

func (c *cursor) longU32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := c.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 && !c.bad {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	c.fail()
	return 0
}

// s32 reads a signed LEB128 of at most 32 bits.
func (c *cursor) s32() int32 {
	v := c.signed(32)
	if v != int64(int32(v)) {
		c.fail()
	}
	return int32(v)
}

func (c *cursor) s64() int64 { return c.signed(64) }

// signed reads a signed LEB128 of as many bytes as the bits may take.
func (c *cursor) signed(bits int) int64 {
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		b := c.byte()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if shift += 7; b&0x40 != 0 && shift < 64 {
				v |= -1 << shift
			}
			return v
		}
	}
	c.fail()
	return 0
}

func (c *cursor) name() string {
	n := c.u32()
	if n > nameLimit {
		c.fail()
	}
	b := c.take(n)
	if !utf8.Valid(b) {
		c.fail()
	}
	return string(b)
}

// limits reads a table's or memory's: the flag byte, the minimum and, when bit 0 of the flag is set, the maximum.
func (c *cursor) limits() (lo, hi uint32, form byte) {
	form = c.byte()
	lo = c.u32()
	if form&1 != 0 {
		hi = c.u32()
		if hi < lo {
			c.fail()
		}
	}
	return lo, hi, form
}
