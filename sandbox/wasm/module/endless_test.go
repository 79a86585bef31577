package module

import (
	"context"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"casemate/internal/casetest/guests"
)

// TestEndlessRunsAsk: whatever never ends asks for more fuel, so that its host can end it, and no guest can keep it from that.
func TestEndlessRunsAsk(t *testing.T) {
	ctx := context.Background()
	asked := 0
	r := runtimeWith(t, wazero.NewRuntimeConfigCompiler(), func(ctx context.Context, m api.Module, _ []uint64) {
		if asked++; asked == 100 {
			_ = m.CloseWithExitCode(ctx, 99)
			panic("out of fuel")
		}
		fuel, _ := m.ExportedGlobal(fuelExport).(api.MutableGlobal)
		fuel.Set(fuel.Get() + 1000)
	})
	void := byte(void)
	self := guests.Func{Code: guests.Code(opCall, 0)}
	for name, g := range map[string]guests.Module{
		"a loop": {Funcs: []guests.Func{guests.Start(guests.Code(opLoop, void, opBr, 0, opEnd), 0)}},
		"a loop in a dead end": {Funcs: []guests.Func{guests.Start(guests.Code(opBlock, void, opBr, 0, opLoop, void, opBr, 0, opEnd, opEnd,
			opLoop, void, opLoop, void, opBr, 1, opEnd, opEnd), 0)}},
		"a table of branches": {Funcs: []guests.Func{guests.Start(guests.Code(opLoop, void, guests.Const(7), opBrTable, 1, 0, 0, opEnd), 0)}},
		"a recursion":         {Funcs: []guests.Func{self, guests.Start(guests.Code(opCall, 0), 0)}},
		"long fills": {Funcs: []guests.Func{guests.Start(guests.Code(opLoop, void, guests.Const(0), guests.Const(1), guests.Const(60_000),
			opMisc, miscMemoryFill, 0, opBr, 0, opEnd), 0)}},
	} {
		asked = 0
		g.Min = 1
		m, err := r.InstantiateWithConfig(ctx, prepare(t, g.Bytes()).Code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err = m.ExportedFunction(ExportStart).Call(ctx); err == nil || !strings.Contains(err.Error(), "out of fuel") || asked != 100 {
			t.Errorf("%s: asked %d times: %v", name, asked, err)
		}
	}
}
