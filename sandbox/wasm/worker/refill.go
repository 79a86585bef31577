package worker

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"casemate/sandbox/wasm/module"
)

// fuelStep is how much fuel a guest gets at a time.
const fuelStep = 1 << 20

// provideRefill gives rewritten code its import: more fuel, whenever there is none left. The call itself lets Go's
// scheduler and collector have their turn, which compiled code on its own never does.
func provideRefill(ctx context.Context, r wazero.Runtime, export string) error {
	refill := api.GoModuleFunc(func(_ context.Context, m api.Module, _ []uint64) {
		if fuel, ok := m.ExportedGlobal(export).(api.MutableGlobal); ok {
			fuel.Set(fuel.Get() + fuelStep)
		}
	})
	_, err := r.NewHostModuleBuilder(module.ImportModule).NewFunctionBuilder().WithGoModuleFunction(refill, nil, nil).
		Export(module.ImportRefill).Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("preparing the refill of fuel: %w", err)
	}
	return nil
}
