package module

import (
	"cmp"
	"slices"
)

// Prepared is a module rewritten for a worker.
type Prepared struct {
	Code    []byte
	Globals []string // names under which every mutable global the module defines is exported, in index order; fuel is not among them
	Fuel    string   // export name of the mutable i64 global that holds the fuel left; it starts at 0
	Rewind  string   // "" when an instance can be returned to its state after initialisation; else the reason, for people
}

// ImportModule is the module that Casemate's own functions are imported from.
const ImportModule = "casemate"

// ImportRefill names the one function that a prepared module imports from there besides its own imports, of type
// () -> (). Rewritten code calls it when its fuel global has fallen below zero; the host adds more to the global, or ends
// the run. No module can import it itself: Inspect refuses that.
const ImportRefill = "refill"

// reserved is in front of the names of what is exported in addition; Inspect refuses modules that export such names.
const (
	reserved   = "casemate:"
	fuelExport = reserved + "fuel"
)

// Prepare rewrites a module into the form that workers compile; it does the same every time:
//
//   - what it runs costs fuel, counted exactly (meter.go says how), and a loop or a call asks for more when it is used up;
//   - every mutable global is exported, so that its value can be brought back;
//   - every table gets an explicit maximum of TableLimit, so that table.grow cannot take memory that no limit counts;
//   - initial data that lies close together becomes one segment. Go's linker leaves tens of thousands of them, and making
//     an instance costs some 50 ns for each;
//   - custom sections go, but for the names of functions, which stand in the traces of traps.
//
// What Inspect refuses, Prepare refuses, and instructions beyond WebAssembly 2.0; other code that is not valid comes out as
// invalid as it was, for the compiler to refuse. An error is a *casemate.Error.
func Prepare(module []byte) (Prepared, error) {
	in, _, err := inspect(module)
	if err != nil {
		return Prepared{}, err
	}
	r := rewriter{in: in, out: Prepared{Fuel: fuelExport}}
	r.read(module[8:])
	if err := r.rewrite(); err != nil {
		return Prepared{}, malformed(err)
	}
	r.out.Code = r.bytes(module[:8])
	return r.out, nil
}

func limitTables(c *cursor) []byte {
	n := c.u32()
	b := appendU32(nil, n)
	for range n {
		element := c.byte()
		lo, hi, form := c.limits()
		if form == 0 || hi > TableLimit {
			hi = max(lo, TableLimit)
		}
		b = appendU32(appendU32(append(b, element, 1), lo), hi)
	}
	return b
}

// Data is merged over gaps of at most gapLimit zeroes, and only while it grows to growthLimit times its size and by growthMax.
const (
	gapLimit    = 4 << 10
	growthLimit = 4
	growthMax   = 16 << 20
)

// span is initial data at its address.
type span struct {
	at   uint32
	data []byte
}

func (s *span) end() int64 { return int64(s.at) + int64(len(s.data)) }

// mergeData joins active segments at constant addresses. The memory they are for is all zeroes, so that the zeroes
// between them change nothing; where they do not touch each other, neither does their order.
func mergeData(c *cursor) ([]byte, bool) {
	size := len(c.b)
	spans, ok := readSpans(c)
	if !ok {
		return nil, false
	}
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.at, b.at) })
	var runs [][]span // of those that become one
	grown, from := 0, 0
	for i := range spans {
		if i > 0 {
			gap := int64(spans[i].at) - spans[i-1].end()
			if gap < 0 {
				return nil, false // one over the other: the later one wins, leave it alone
			}
			if gap <= gapLimit {
				if grown += int(gap); grown > min(size*growthLimit, growthMax) {
					return nil, false
				}
				continue
			}
			runs = append(runs, spans[from:i])
		}
		from = i
	}
	if len(spans) > 0 {
		runs = append(runs, spans[from:])
	}
	return joinSpans(make([]byte, 0, size+grown+16), runs), true
}

func joinSpans(b []byte, runs [][]span) []byte {
	var zeroes [gapLimit]byte
	b = appendU32(b, uint32(len(runs)))
	for _, run := range runs {
		first, last := run[0], run[len(run)-1]
		b = append(appendS64(append(b, 0, opI32Const), int64(int32(first.at))), opEnd)
		b = appendU32(b, uint32(last.end()-int64(first.at)))
		end := int64(first.at)
		for _, s := range run {
			b = append(append(b, zeroes[:int64(s.at)-end]...), s.data...)
			end = s.end()
		}
	}
	return b
}

// readSpans reads a data section in which every segment is active, in memory 0, at (i32.const at).
func readSpans(c *cursor) ([]span, bool) {
	var spans []span
	for range c.u32() {
		mode, op, at, end := c.u32(), c.byte(), uint32(c.s32()), c.byte()
		data := c.take(c.u32())
		if c.bad || mode != 0 || op != 0x41 || end != 0x0b {
			return nil, false
		}
		spans = append(spans, span{at, data})
	}
	return spans, !c.bad && len(c.b) == 0
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS64(b []byte, v int64) []byte {
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
