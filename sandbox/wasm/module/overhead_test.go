package module

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"casemate/internal/casetest/guests"
)

// fibGuest is a reactor whose casemate_handle gives fib(its first parameter), the way a compiler with registers for locals
// writes it.
func fibGuest() []byte {
	get, less, sub, call := guests.Code(opLocalGet, 0), 0x48, 0x6b, opCall
	fib := guests.Func{Params: []byte{guests.I32}, Results: []byte{guests.I32}, Code: guests.Code(
		get, guests.Const(2), less, opIf, void, get, opReturn, opEnd,
		get, guests.Const(1), sub, call, 0, get, guests.Const(2), sub, call, 0, 0x6a)}
	handle := guests.Func{Export: ExportHandle, Params: []byte{guests.I32, guests.I32}, Results: []byte{guests.I64},
		Code: guests.Code(get, call, 0, opI64ExtendU)}
	alloc := guests.Func{Export: ExportAlloc, Params: []byte{guests.I32}, Results: []byte{guests.I32}, Code: guests.Const(4096)}
	return guests.Module{Funcs: []guests.Func{fib, handle, alloc}, Min: 1}.Bytes()
}

// hashGuest is a reactor whose casemate_handle mixes the words of 16 KiB (FNV-1a, with a rotation), as many times as its
// first parameter says: the tightest loop that still reads memory.
func hashGuest() []byte {
	const rounds, at, sum = 0, 2, 3
	get := func(i int) []byte { return guests.Code(opLocalGet, i) }
	body := guests.Code(
		opLoop, void,
		guests.Const(0), opLocalSet, at,
		opLoop, void,
		get(sum), get(at), 0x28, 2, 0, 0x73, guests.Const(0x01000193), 0x6c, guests.Const(13), 0x77, opLocalSet, sum,
		get(at), guests.Const(4), 0x6a, opLocalTee, at, guests.Const(16<<10), opI32Ne, opBrIf, 0, opEnd,
		get(rounds), guests.Const(1), 0x6b, opLocalTee, rounds, opBrIf, 0, opEnd,
		get(sum), opI64ExtendU)
	handle := guests.Func{Export: ExportHandle, Params: []byte{guests.I32, guests.I32}, Results: []byte{guests.I64}, Locals: 2, Code: body}
	alloc := guests.Func{Export: ExportAlloc, Params: []byte{guests.I32}, Results: []byte{guests.I32}, Code: guests.Const(4096)}
	return guests.Module{Funcs: []guests.Func{handle, alloc}, Min: 1}.Bytes()
}

// BenchmarkOverhead runs modules as they came and as Prepare made them in turn, and gives what the second kind takes more,
// best run against best run, in percent. A machine with other work to do measures nothing else reliably.
func BenchmarkOverhead(b *testing.B) {
	type run struct {
		name     string
		code     []byte
		at, size uint64
	}
	runs := []run{{"fib", fibGuest(), 24, 0}, {"hash", hashGuest(), 60, 0}}
	if code, err := goGuest(b); err == nil {
		runs = append(runs, run{"go-fib", code, 0, 21}, run{"go-sha256", code, 1, 400})
	} else {
		b.Logf("no Go guest: %v", err)
	}
	for _, g := range runs {
		b.Run(g.name, func(b *testing.B) {
			plain, prepared := caller(b, g.code, g.at, g.size), caller(b, prepare(b, g.code).Code, g.at, g.size)
			best := [2]time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				for i, call := range []func(){plain, prepared} {
					began := time.Now()
					call()
					best[i] = min(best[i], time.Since(began))
				}
			}
			b.ReportMetric(100*(float64(best[1])/float64(best[0])-1), "%-more")
		})
	}
}

func caller(b *testing.B, code []byte, at, size uint64) func() {
	ctx := context.Background()
	r := newRuntime(b, wazero.NewRuntimeConfigCompiler())
	m, err := r.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithStartFunctions(ExportInitialize))
	if err != nil {
		b.Fatal(err)
	}
	f := m.ExportedFunction(ExportHandle)
	return func() {
		if err := f.CallWithStack(ctx, []uint64{at, size}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrepare rewrites a Go guest.
func BenchmarkPrepare(b *testing.B) {
	code, err := goGuest(b)
	if err != nil {
		b.Skipf("no Go guest: %v", err)
	}
	b.SetBytes(int64(len(code)))
	for b.Loop() {
		b.ReportMetric(float64(len(prepare(b, code).Code))/float64(len(code)), "x-size")
	}
}

// goGuest builds testdata/burn.
func goGuest(t testing.TB) ([]byte, error) {
	out := filepath.Join(t.TempDir(), "burn.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-buildmode=c-shared", "-o", out, "./testdata/burn")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, said)
	}
	return os.ReadFile(out)
}
