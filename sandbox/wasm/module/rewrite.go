package module

import (
	"fmt"
	"slices"
)

// rewriter takes a module apart and puts it together again.
type rewriter struct {
	in       *inspection
	sections [sectionDataCount + 1][]byte // bodies by number; nil: there is none
	names    []byte                       // body of the custom section "name", behind its name
	meter    meter
	refill   uint32 // index of the refill import's type
	mutable  []uint32
	out      Prepared
}

// read splits a module that was inspected.
func (r *rewriter) read(b []byte) {
	c := &cursor{b: b}
	for len(c.b) > 0 {
		id := c.byte()
		body := c.take(c.u32())
		if id != sectionCustom {
			r.sections[id] = body
			continue
		}
		if s := (&cursor{b: body}); s.name() == "name" && !s.bad {
			r.names = s.b
		}
	}
}

// rewrite replaces the sections that change. The order matters: later ones need what earlier ones count.
func (r *rewriter) rewrite() error {
	imported := uint32(len(r.in.imports))
	r.meter = meter{imported: imported, spaces: spaces{types: uint32(len(r.in.types)), functions: uint32(len(r.in.functions))}}
	r.types()
	add := appendName(appendName(nil, ImportModule), ImportRefill)
	r.sections[sectionImport] = appended(r.sections[sectionImport], appendU32(append(add, 0), r.refill))
	if r.sections[sectionTable] != nil {
		r.sections[sectionTable] = limitTables(&cursor{b: r.sections[sectionTable]})
	}
	for _, step := range []struct {
		id   byte
		body func(*cursor) ([]byte, error)
	}{{sectionGlobal, r.globals}, {sectionExport, r.exports}, {sectionStart, r.start}, {sectionElement, r.elements},
		{sectionCode, r.code}, {sectionData, r.data}} {
		if r.sections[step.id] == nil && step.id != sectionGlobal {
			continue
		}
		c := &cursor{b: r.sections[step.id]}
		body, err := step.body(c)
		if err == nil && (c.bad || len(c.b) > 0) {
			err = fmt.Errorf("section %d has the wrong length", step.id)
		}
		if err != nil {
			return err
		}
		r.sections[step.id] = body
	}
	r.out.Rewind = r.meter.rewind
	return nil
}

// bytes puts the sections together behind the header.
func (r *rewriter) bytes(header []byte) []byte {
	size := len(header) + len(r.names) + 32
	for _, s := range r.sections {
		size += len(s) + 6
	}
	out := append(make([]byte, 0, size), header...)
	for _, id := range []byte{sectionType, sectionImport, sectionFunction, sectionTable, sectionMemory, sectionGlobal, sectionExport,
		sectionStart, sectionElement, sectionDataCount, sectionCode, sectionData} {
		if s := r.sections[id]; s != nil {
			out = append(appendU32(append(out, id), uint32(len(s))), s...)
		}
	}
	if names := r.functionNames(); names != nil {
		out = append(appendU32(append(out, sectionCustom), uint32(len(names))), names...)
	}
	return out
}

// appended gives a list with one more entry.
func appended(list, entry []byte) []byte {
	c := &cursor{b: list}
	n := uint32(0)
	if list != nil {
		n = c.u32()
	}
	return slices.Concat(appendU32(nil, n+1), c.b, entry)
}

func appendName(b []byte, name string) []byte {
	return append(appendU32(b, uint32(len(name))), name...)
}

func (r *rewriter) types() {
	for i, t := range r.in.types {
		if t == sigNone {
			r.refill = uint32(i)
			return
		}
	}
	r.refill = uint32(len(r.in.types))
	r.sections[sectionType] = appended(r.sections[sectionType], []byte{0x60, 0, 0})
}

// globals finds the mutable ones and adds the fuel.
func (r *rewriter) globals(c *cursor) ([]byte, error) {
	n := uint32(0)
	if c.b != nil {
		n = c.u32()
	}
	b := appendU32(nil, n+1)
	for i := range n {
		kind, mutable := c.byte(), c.byte()
		if c.bad || !isValueType(kind) || mutable > 1 {
			return nil, fmt.Errorf("global %d", i)
		}
		// A global's first value may come from those before it.
		r.meter.spaces.globals = i
		var err error
		if b, err = r.constant(append(b, kind, mutable), c); err != nil {
			return nil, fmt.Errorf("global %d: %w", i, err)
		}
		if mutable == 0 {
			continue
		}
		if kind < typeF64 {
			// wazero's api.MutableGlobal holds 64 bits of numbers.
			r.meter.rewind = fmt.Sprintf("it has a variable global of a type that cannot be brought back (%s, global %d)",
				map[byte]string{typeV128: "v128", typeFuncref: "funcref", typeExternref: "externref"}[kind], i)
			continue
		}
		r.mutable = append(r.mutable, i)
	}
	r.meter.spaces.globals, r.meter.fuel = n, n
	return append(b, typeI64, 1, opI64Const, 0, opEnd), nil
}

// constant copies an expression that is one constant, and its end.
func (r *rewriter) constant(b []byte, c *cursor) ([]byte, error) {
	start := c.b
	op := c.byte()
	switch {
	case op >= opI32Const && op <= opF64Const:
		c.constant(op)
	case op == opGlobalGet:
		c.below(r.meter.spaces.globals)
	case op == opRefNull:
		c.require(isReference(c.byte()))
	case op == opRefFunc:
		index := c.below(r.meter.spaces.functions)
		b = appendU32(append(b, op), r.meter.shift(index))
		start = c.b
	case op == opVector:
		c.require(c.byte() == 0x0c)
		c.take(16)
	default:
		return nil, unknownf("%#x in a constant", op)
	}
	if c.byte() != opEnd || c.bad {
		return nil, fmt.Errorf("constant %#x", op)
	}
	return append(b, start[:len(start)-len(c.b)]...), nil
}

func (r *rewriter) exports(c *cursor) ([]byte, error) {
	n := c.u32()
	b := appendU32(nil, n+1+uint32(len(r.mutable)))
	for range n {
		name, what, index := c.name(), c.byte(), c.u32()
		switch {
		case what == 0:
			index = r.meter.shift(index)
		case what == 3 && index >= r.meter.spaces.globals:
			return nil, fmt.Errorf("export %.100q of global %d", name, index)
		}
		b = appendU32(append(appendName(b, name), what), index)
	}
	for _, i := range r.mutable {
		name := fmt.Sprintf(reserved+"global:%d", i)
		r.out.Globals = append(r.out.Globals, name)
		b = appendU32(append(appendName(b, name), 3), i)
	}
	return appendU32(append(appendName(b, fuelExport), 3), r.meter.fuel), nil
}

func (r *rewriter) start(c *cursor) ([]byte, error) {
	return appendU32(nil, r.meter.shift(c.below(r.meter.spaces.functions))), nil
}

// elements shifts the functions in the initial contents of tables. Bit 0 of a segment's form says that it is not put into a
// table at the start, bit 1 that it names its table, or that it will never be used; bit 2 that it lists expressions
// (https://webassembly.github.io/spec/core/binary/modules.html#element-section).
func (r *rewriter) elements(c *cursor) ([]byte, error) {
	n := c.u32()
	b := appendU32(nil, n)
	for i := range n {
		form := c.u32()
		if c.bad || form > 7 {
			return nil, fmt.Errorf("elements %d of form %d", i, form)
		}
		b = appendU32(b, form)
		if form&3 == 2 {
			b = appendU32(b, c.u32())
		}
		var err error
		if form&1 == 0 {
			if b, err = r.constant(b, c); err != nil {
				return nil, fmt.Errorf("elements %d: %w", i, err)
			}
		}
		if form&3 != 0 {
			kind := c.byte()
			if form&4 == 0 && kind != 0 || form&4 != 0 && !isReference(kind) {
				return nil, fmt.Errorf("elements %d of kind %#x", i, kind)
			}
			b = append(b, kind)
		}
		if b, err = r.list(b, c, form&4 != 0); err != nil {
			return nil, fmt.Errorf("elements %d: %w", i, err)
		}
	}
	return b, nil
}

func (r *rewriter) list(b []byte, c *cursor, expressions bool) ([]byte, error) {
	n := c.u32()
	b = appendU32(b, n)
	for range n {
		if c.bad {
			break
		}
		if !expressions {
			b = appendU32(b, r.meter.shift(c.below(r.meter.spaces.functions)))
			continue
		}
		var err error
		if b, err = r.constant(b, c); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (r *rewriter) code(c *cursor) ([]byte, error) {
	n := c.u32()
	defined := r.in.functions[len(r.in.imports):]
	if int64(n) != int64(len(defined)) {
		return nil, fmt.Errorf("%d functions have code, and %d a type", n, len(defined))
	}
	b := appendU32(make([]byte, 0, len(c.b)+len(c.b)/2), n)
	for i, t := range defined {
		body := c.take(c.u32())
		if c.bad {
			break
		}
		r.meter.function = uint32(len(r.in.imports) + i)
		var err error
		if b, err = r.meter.rewrite(b, body, (&cursor{b: []byte(r.in.types[t])}).u32()); err != nil {
			return nil, err
		}
		if len(b) > codeLimit {
			return nil, refusedf("build it smaller", "the code has more than %d bytes when it is metered", codeLimit)
		}
	}
	return b, nil
}

// data checks the addresses, and merges what can be.
func (r *rewriter) data(c *cursor) ([]byte, error) {
	whole := c.b
	for i := range c.u32() {
		mode := c.u32()
		if c.bad || mode > 2 {
			return nil, fmt.Errorf("data %d of mode %d", i, mode)
		}
		if mode == 2 {
			c.u32()
		}
		if mode != 1 {
			if _, err := r.constant(nil, c); err != nil {
				return nil, fmt.Errorf("data %d: %w", i, err)
			}
		}
		c.take(c.u32())
	}
	// With a count before the code, instructions may speak of data by number.
	if r.sections[sectionDataCount] == nil {
		if merged, ok := mergeData(&cursor{b: whole}); ok {
			return merged, nil
		}
	}
	return whole, nil
}

// functionNames is the custom section with the names of the module and its functions, if there is one that can be read.
func (r *rewriter) functionNames() []byte {
	c := &cursor{b: r.names}
	b := appendName(nil, "name")
	for len(c.b) > 0 {
		id := c.byte()
		s := &cursor{b: c.take(c.u32())}
		body := s.b
		switch id {
		case 0:
		case 1:
			n := s.u32()
			body = appendU32(nil, n)
			for range n {
				index, name := s.u32(), s.name()
				if s.bad {
					return nil
				}
				body = appendName(appendU32(body, r.meter.shift(index)), name)
			}
		default:
			continue
		}
		b = append(appendU32(append(b, id), uint32(len(body))), body...)
	}
	if c.bad || r.names == nil {
		return nil
	}
	return b
}
