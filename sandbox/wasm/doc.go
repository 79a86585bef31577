// Package wasm runs WebAssembly functions: WASI preview 1 core modules, through wazero, in a jailed worker process and
// never in the node's own (compiled code cannot be pre-empted: one tight loop would freeze the whole node).
//
// Two sides live here. The node's side is Pool: a few workers per function version, killed at the deadline of the event
// they are in. Each runs one event at a time; those of a fast function may wait in its socket for their turn (call.go).
// The worker's side is Serve: it compiles its one module once and gives every event a fresh instance, so that no memory,
// global, table or descriptor survives from one event to the next.
//
// # What a module must look like
//
// A module imports functions of wasi_snapshot_preview1 only and brings its own single memory. It sees no file, no
// argument, no socket; the environment is the function's own; clocks and random numbers are real and fresh. It is one of
//
//   - a command: it exports _start. The event is on standard input, the answer is what it writes to standard output,
//     exit status 0 is success. Standard error is the function's log.
//   - a reactor: it exports casemate_alloc(size i32) -> i32 and casemate_handle(ptr i32, len i32) -> i64, and
//     _initialize when it has something to set up, which is called first, on each fresh instance. The node asks
//     casemate_alloc for room, puts the event there and calls casemate_handle; the result is the answer's address in the
//     upper 32 bits and its length in the lower 31. Bit 31 set says that the answer is an error document: the function
//     failed and said so. Standard output and standard error are both the log.
//
// Components (WASI 0.2) are recognised by their header and refused by name.
package wasm
