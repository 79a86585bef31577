// Package module reads WebAssembly modules without running or compiling anything: what they import, export and ask for,
// and whether a worker could run them at all.
package module

import (
	"bytes"
	"errors"

	"casemate"
)

// SizeLimit is the most bytes of a module.
const SizeLimit = 64 << 20

// TableLimit is the most elements a table may start with, or grow to: a table is memory outside of the linear one.
const TableLimit = 1 << 16

// Kind says how a module takes its event.
type Kind string

// The kinds, described in the comment of package wasm.
const (
	Command Kind = "command"
	Reactor Kind = "reactor"
)

// The exports that make a module a command or a reactor, and the module that it may import from.
const (
	ExportStart      = "_start"
	ExportInitialize = "_initialize"
	ExportAlloc      = "casemate_alloc"
	ExportHandle     = "casemate_handle"
	// ExportReseed is a reactor's, of type () -> i32: the worker calls it before the snapshot and after each rewind, so that no
	// two events from one snapshot see the same random numbers. Anything but 0 says that it failed. A reactor that draws
	// randomness while it initialises can be rewound only when it has one.
	ExportReseed = "casemate_reseed"

	WASI = "wasi_snapshot_preview1"

	// ImportSend and ImportRead are what a module may import from ImportModule: an HTTP exchange with the outside, described
	// in the comment of package wasm.
	ImportSend = "http_send"
	ImportRead = "http_read"
)

// wasiFunctions are those of WASI preview 1
// (https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md), all of which the worker answers: files and
// sockets with an error, as there are none.
var wasiFunctions = [...]string{
	"args_get", "args_sizes_get", "clock_res_get", "clock_time_get", "environ_get", "environ_sizes_get", "fd_advise",
	"fd_allocate", "fd_close", "fd_datasync", "fd_fdstat_get", "fd_fdstat_set_flags", "fd_fdstat_set_rights",
	"fd_filestat_get", "fd_filestat_set_size", "fd_filestat_set_times", "fd_pread", "fd_prestat_dir_name",
	"fd_prestat_get", "fd_pwrite", "fd_read", "fd_readdir", "fd_renumber", "fd_seek", "fd_sync", "fd_tell", "fd_write",
	"path_create_directory", "path_filestat_get", "path_filestat_set_times", "path_link", "path_open", "path_readlink",
	"path_remove_directory", "path_rename", "path_symlink", "path_unlink_file", "poll_oneoff", "proc_exit", "proc_raise",
	"random_get", "sched_yield", "sock_accept", "sock_recv", "sock_send", "sock_shutdown",
}

// Info is what a module says about itself.
type Info struct {
	Kind     Kind
	MinPages uint32   // linear memory it starts with, in pages of 64 KiB
	MaxPages uint32   // its own maximum; 0 when it names none
	Imports  []string // names of WASI's functions; of Casemate's own, ImportModule and a dot before them
	Exports  []string
	Reseed   bool // it exports casemate_reseed
}

// Inspect reads a module's header, imports, exports, memory and tables, and refuses what could not run, before anything
// is compiled: it is for deploys, and pure. It does not validate function bodies: compiling does, inside the jail. An
// error is a *casemate.Error of code Invalid or TooLarge.
func Inspect(module []byte) (Info, error) {
	_, info, err := inspect(module)
	return info, err
}

func inspect(module []byte) (*inspection, Info, error) {
	if len(module) > SizeLimit {
		return nil, Info{}, casemate.Errorf(casemate.TooLarge, "build it smaller, without debug information",
			"the module has %d bytes and the bound is %d", len(module), SizeLimit)
	}
	if err := inspectHeader(module); err != nil {
		return nil, Info{}, err
	}
	in := &inspection{}
	if err := in.sections(module[8:]); err != nil {
		return nil, Info{}, malformed(err)
	}
	info, err := in.judge()
	return in, info, err
}

func inspectHeader(module []byte) error {
	if len(module) < 8 || !bytes.Equal(module[:4], []byte("\x00asm")) {
		return casemate.Errorf(casemate.Invalid, "build for GOOS=wasip1 GOARCH=wasm, wasm32-wasip1 or wasm32-wasi",
			"this is not a WebAssembly module")
	}
	// https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md: 16 bits of version, 16 bits of layer.
	if layer := uint16(module[6]) | uint16(module[7])<<8; layer == 1 {
		return casemate.Errorf(casemate.Invalid, "build a core module for WASI preview 1 (wasip1) instead",
			"this is a WebAssembly component (WASI 0.2 or later), and only core modules of WASI preview 1 can run")
	}
	if !bytes.Equal(module[4:8], []byte{1, 0, 0, 0}) {
		return casemate.Errorf(casemate.Invalid, "build for version 1 of the binary format",
			"this WebAssembly module has an unknown version, %x", module[4:8])
	}
	return nil
}

func malformed(err error) error {
	var known *casemate.Error
	if errors.As(err, &known) {
		return err
	}
	return casemate.Errorf(casemate.Invalid, "the file may have been cut short; build it again",
		"malformed WebAssembly module: %w", err)
}

func refusedf(hint, format string, args ...any) error {
	return casemate.Errorf(casemate.Invalid, hint, format, args...)
}

// signature is a function type, written as its bytes in the type section without the form: parameters, then results.
type signature string

// The signatures of the exports that are called (0x7f is i32, 0x7e i64).
const (
	sigNone   signature = "\x00\x00"
	sigAlloc  signature = "\x01\x7f\x01\x7f"
	sigHandle signature = "\x02\x7f\x7f\x01\x7e"
	sigReseed signature = "\x00\x01\x7f"
)

// hostFunctions are those that a module may import from ImportModule.
var hostFunctions = map[string]signature{ImportSend: sigHandle, ImportRead: "\x02\x7f\x7f\x01\x7f"}

// inspection gathers what the sections say.
type inspection struct {
	types     []signature
	functions []uint32 // type of each function, imported ones first
	imports   []string
	exports   map[string]uint32 // functions by name
	names     []string
	memories  int
	exported  bool // the memory, as "memory"
	min, max  uint32
}

// judge decides on what the sections said.
func (in *inspection) judge() (Info, error) {
	info := Info{MinPages: in.min, MaxPages: in.max, Imports: in.imports, Exports: in.names}
	_, command := in.exports[ExportStart]
	_, handle := in.exports[ExportHandle]
	_, init := in.exports[ExportInitialize]
	_, info.Reseed = in.exports[ExportReseed]
	wanted := map[string]signature{ExportStart: sigNone, ExportInitialize: sigNone, ExportAlloc: sigAlloc, ExportHandle: sigHandle,
		ExportReseed: sigReseed}
	switch {
	case command && handle && init: // a program of the SDK that was built as a command exports the reactor's calls idly
		return Info{}, refusedf("export one of them", "the module exports both %s and %s", ExportStart, ExportHandle)
	case command:
		info.Kind = Command
	case handle:
		info.Kind = Reactor
		if _, ok := in.exports[ExportAlloc]; !ok {
			return Info{}, refusedf("export it as well", "the module exports %s without %s", ExportHandle, ExportAlloc)
		}
	default:
		return Info{}, refusedf("build a command (with a main function), or export "+ExportAlloc+" and "+ExportHandle,
			"the module exports neither %s nor %s, so that nothing can be called", ExportStart, ExportHandle)
	}
	if in.memories == 0 || !in.exported {
		return Info{}, refusedf("export the memory as \"memory\", as compilers for WASI do", "the module exports no memory")
	}
	for name, sig := range wanted {
		index, ok := in.exports[name]
		if !ok {
			continue
		}
		if got := in.types[in.functions[index]]; got != sig {
			return Info{}, refusedf("see the documentation of WebAssembly functions for its parameters and results",
				"the module's %s has the wrong type", name)
		}
	}
	return info, nil
}
