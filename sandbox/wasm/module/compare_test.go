package module

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"casemate/internal/casetest/guests"
)

// ordered gives what the order says of two numbers of its type.
func ordered(op byte, a, b uint64) bool {
	if op < opI64LtS {
		if (op-opI32LtS)%2 == 0 {
			a, b = uint64(int64(int32(a))), uint64(int64(int32(b)))
		} else {
			a, b = uint64(uint32(a)), uint64(uint32(b))
		}
	}
	less := a < b
	if (op-firstOrder(op))%2 == 0 {
		less = int64(a) < int64(b)
	}
	switch (op - firstOrder(op)) / 2 {
	case 0:
		return less
	case 1:
		return a != b && !less
	case 2:
		return a == b || less
	default:
		return !less
	}
}

// orderGuest gives 1 where the order holds of 0 and the and of its two parameters, or of the and and 0. The ways are how the two
// come to the comparison and how the branch takes it.
func orderGuest(op byte, zeroLeft bool, way int) []byte {
	typ, and, zero := byte(guests.I32), byte(opI32And), guests.Code(opI32Const, 0)
	if op >= opI64LtS {
		typ, and, zero = guests.I64, opI64And, guests.Code(opI64Const, 0)
	}
	both := guests.Code(opLocalGet, 0, opLocalGet, 1, and)
	var before []byte
	switch way % 5 {
	case 1: // the and in a local
		before, both = guests.Code(both, opLocalSet, 0), guests.Code(opLocalGet, 0)
	case 2: // and once more
		before, both = guests.Code(both, opLocalSet, 0, opLocalGet, 0, opLocalTee, 1, 0x1a), guests.Code(opLocalGet, 1)
	case 3: // out of a block
		both = guests.Code(opBlock, typ, both, opEnd)
	case 4: // behind something that leaves nothing
		both = guests.Code(both, 0x01, opLocalTee, 0, 0x01)
	}
	if zeroLeft && way/5%2 == 1 { // the zero in a local
		before, zero = guests.Code(before, zero, opLocalSet, 2), guests.Code(opLocalGet, 2)
	}
	values := guests.Code(both, zero, op)
	if zeroLeft {
		values = guests.Code(zero, both, op)
	}
	branch := guests.Code(opIf, guests.I32, opI32Const, 1, opElse, opI32Const, 0, opEnd)
	if way/10 == 1 {
		branch = guests.Code(opIf, void, opI32Const, 1, opReturn, opEnd, opI32Const, 0)
	}
	params := []byte{typ, typ, typ}
	return guests.Module{Funcs: []guests.Func{{Export: "order", Params: params, Results: []byte{guests.I32},
		Code: guests.Code(before, values, branch)}, guests.Start(nil, 0)}, Min: 1}.Bytes()
}

// TestOrdersOfAnds: a branch goes by an order of 0 and an and as it should, in every way that one comes to it, in modules that
// were prepared; and does not in all that were not, without which the rewriting would have no reason.
func TestOrdersOfAnds(t *testing.T) {
	ctx := context.Background()
	r := engine(t, wazero.NewRuntimeConfigCompiler(), &grants{step: 1000})
	rng := rand.New(rand.NewPCG(1, 2))
	values := []uint64{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<63 - 1, 1 << 63, 1<<64 - 1, rng.Uint64(), rng.Uint64()}
	wrong := func(code []byte, op byte, zeroLeft bool) (n int) {
		m, err := r.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close(ctx)
		for _, a := range values {
			for _, b := range values {
				x, y := a&b, uint64(0)
				if zeroLeft {
					x, y = y, x
				}
				if op < opI64LtS {
					a, b = uint64(uint32(a)), uint64(uint32(b))
				}
				got, err := m.ExportedFunction("order").Call(ctx, a, b, 0)
				if err != nil {
					t.Fatal(err)
				}
				if (api.DecodeI32(got[0]) == 1) != ordered(op, x, y) {
					n++
				}
			}
		}
		return n
	}
	plain := 0
	for _, first := range []byte{opI32LtS, opI64LtS} {
		for op := first; op < first+8; op++ {
			for way := range 20 {
				for _, zeroLeft := range []bool{true, false} {
					code := orderGuest(op, zeroLeft, way)
					if n := wrong(prepare(t, code).Code, op, zeroLeft); n > 0 {
						t.Errorf("%#x, zero on the left: %v, way %d: %d wrong", op, zeroLeft, way, n)
					}
					plain += wrong(code, op, zeroLeft)
				}
			}
		}
	}
	if plain == 0 {
		t.Error("the compiler does it right by itself: compare.go can go")
	}
}
