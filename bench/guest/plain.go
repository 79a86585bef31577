package guest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// plain is wazero by itself: the module compiled once, nothing pooled.
type plain struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
	payload []byte
	reactor bool
	kept    api.Module // of reuse
}

func newPlain(ctx context.Context, code, payload []byte) (*plain, error) {
	p := &plain{runtime: wazero.NewRuntime(ctx), payload: payload}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	module, err := p.runtime.CompileModule(ctx, code)
	if err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	p.module = module
	_, p.reactor = module.ExportedFunctions()["casemate_handle"]
	return p, nil
}

func (p *plain) close(ctx context.Context) error { return p.runtime.Close(ctx) }

func (p *plain) config(out io.Writer) wazero.ModuleConfig {
	return wazero.NewModuleConfig().WithName("").WithStdin(bytes.NewReader(p.payload)).WithStdout(out).WithStderr(io.Discard).
		WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime()
}

// fresh gives one event to a fresh instance.
func (p *plain) fresh(ctx context.Context) func() error {
	if p.reactor {
		return func() error {
			m, err := p.runtime.InstantiateModule(ctx, p.module, p.config(io.Discard).WithStartFunctions("_initialize"))
			if err != nil {
				return err
			}
			return errors.Join(p.handle(ctx, m), m.Close(ctx))
		}
	}
	return func() error {
		var out bytes.Buffer
		m, err := p.runtime.InstantiateModule(ctx, p.module, p.config(&out))
		var exit *sys.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 0) {
			return err
		}
		if out.Len() == 0 {
			return errors.New("the guest answered nothing")
		}
		if m == nil { // it ended by proc_exit, which closed it
			return nil
		}
		return m.Close(ctx)
	}
}

// reuse gives events to one instance for a while: microseconds of CPU for one. A command cannot be reused.
func (p *plain) reuse(ctx context.Context) (float64, error) {
	if !p.reactor {
		return 1, nil
	}
	if p.kept == nil {
		m, err := p.runtime.InstantiateModule(ctx, p.module, p.config(io.Discard).WithStartFunctions("_initialize"))
		if err != nil {
			return 0, err
		}
		p.kept = m // closed with the runtime
	}
	return repeat(func() error { return p.handle(ctx, p.kept) })
}

// handle is the reactor's contract.
func (p *plain) handle(ctx context.Context, m api.Module) error {
	at, err := m.ExportedFunction("casemate_alloc").Call(ctx, uint64(len(p.payload)))
	if err != nil {
		return err
	}
	if !m.Memory().Write(uint32(at[0]), p.payload) {
		return errors.New("no room for the event")
	}
	result, err := m.ExportedFunction("casemate_handle").Call(ctx, at[0], uint64(len(p.payload)))
	if err != nil {
		return err
	}
	answer, ok := m.Memory().Read(uint32(result[0]>>32), uint32(result[0])&^(1<<31))
	if !ok || len(answer) == 0 || result[0]&(1<<31) != 0 {
		return fmt.Errorf("the guest answered %q", answer)
	}
	return nil
}
