package worker

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"casemate/sandbox/wasm/module"
)

// instance is an instance of the guest's module: the engine's shell around a memory.
type instance struct {
	module  api.Module
	globals []api.MutableGlobal // all that can change, but for fuel
	fuel    api.MutableGlobal
	calls
}

// calls are an instance's functions with their machine stacks, which keep the size that they grew to.
type calls struct{ start, initialise, reseed, alloc, handle api.Function }

// instantiate makes an instance in the arena as it stands. A start function of the module runs.
func (g *guest) instantiate() (*instance, error) {
	m, err := g.runtime.InstantiateModule(g.ctx, g.code, g.config)
	if err != nil {
		return nil, err
	}
	in := &instance{module: m}
	in.stacks(g.info.Exports)
	for _, name := range append([]string{g.host.name}, g.globals...) {
		v, ok := m.ExportedGlobal(name).(api.MutableGlobal)
		if !ok {
			return nil, errors.Join(fmt.Errorf("the instance has no variable %s", name), m.Close(g.ctx))
		}
		in.globals = append(in.globals, v)
	}
	in.fuel, in.globals = in.globals[0], in.globals[1:]
	return in, nil
}

// stacks gives the functions new machine stacks. exports are the module's.
func (in *instance) stacks(exports []string) {
	for _, f := range [...]struct {
		name string
		to   *api.Function
	}{{module.ExportStart, &in.start}, {module.ExportInitialize, &in.initialise}, {module.ExportReseed, &in.reseed},
		{module.ExportAlloc, &in.alloc}, {module.ExportHandle, &in.handle}} {
		if slices.Contains(exports, f.name) {
			*f.to = in.module.ExportedFunction(f.name)
		}
	}
}

// plain says whether every value that can change fits what the engine gives of it.
func (in *instance) plain() error {
	for _, v := range in.globals {
		switch v.Type() {
		case api.ValueTypeI32, api.ValueTypeI64, api.ValueTypeF32, api.ValueTypeF64:
		default:
			return errors.New("it has a variable that is no number")
		}
	}
	return nil
}

func (in *instance) values() []uint64 {
	v := make([]uint64, len(in.globals))
	for i, g := range in.globals {
		v[i] = g.Get()
	}
	return v
}
