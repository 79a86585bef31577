package wasm

import (
	"testing"

	"casemate/internal/casetest/guests"
	"casemate/sandbox/wasm/module"
)

// TestTablesCannotGrow: memory outside of the linear one has a bound as well.
func TestTablesCannotGrow(t *testing.T) {
	// (table 1 funcref), and a _start that grows it by module.TableLimit and traps when that worked.
	body := guests.Code(0xd0, 0x70, guests.Const(module.TableLimit), 0xfc, 15, 0, guests.Const(-1), 0x47, 0x04, 0x40, 0x00, 0x0b)
	g := guests.Module{Funcs: []guests.Func{guests.Start(body, 0)}, Min: 1, Tables: []byte{1, 0x70, 0, 1}}
	b := newBed(t, nil)
	if r := b.run(b.version("tables", g.Bytes()), ""); r.Failure != "" {
		t.Fatalf("a table grew past its bound: %s", r.Detail)
	}
	g.Funcs[0].Code = guests.Code(0xd0, 0x70, guests.Const(module.TableLimit-1), 0xfc, 15, 0, guests.Const(-1), 0x46, 0x04, 0x40, 0x00, 0x0b)
	if r := b.run(b.version("tables-2", g.Bytes()), ""); r.Failure != "" {
		t.Fatalf("a table did not grow up to its bound: %s", r.Detail)
	}
}
