package guest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// plain is wazero by itself: the module compiled once, an instance for each event, nothing pooled.
type plain struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
}

func newPlain(ctx context.Context, code []byte) (*plain, error) {
	p := &plain{runtime: wazero.NewRuntime(ctx)}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	module, err := p.runtime.CompileModule(ctx, code)
	if err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	p.module = module
	return p, nil
}

func (p *plain) close(ctx context.Context) error { return p.runtime.Close(ctx) }

// run gives one event to a fresh instance.
func (p *plain) run(ctx context.Context) func() error {
	return func() error {
		var out bytes.Buffer
		config := wazero.NewModuleConfig().WithName("").WithStdin(bytes.NewReader(payload)).WithStdout(&out).WithStderr(io.Discard).
			WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime()
		m, err := p.runtime.InstantiateModule(ctx, p.module, config)
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
