// Package wasm runs WebAssembly functions: WASI preview 1 core modules, through wazero, in a jailed worker process and
// never in the node's own (compiled code cannot be pre-empted: one tight loop would freeze the whole node).
//
// Two sides live here. The node's side is Pool: a few workers per function version, killed when an event outlives its
// deadline. Each runs one event at a time; those of a fast function may wait in its socket for their turn, and come back
// when the event before them takes long (call.go). The worker's side is Serve: it compiles its one module once, makes one
// instance, initialises it and takes a snapshot. After every event memory, its size and the globals return to the
// snapshot; descriptors, clocks and random numbers are fresh. No memory, global, table or descriptor survives from one
// event to the next.
//
// What cannot be rewound safely gets an instance of its own for each event, and Pool.Rewind says why: a module that
// changes its tables or drops initial data (package module finds those), one whose initialisation failed, closed a stream
// or needs too large a snapshot, and one that asked for random numbers or the time while it initialised and cannot be
// seeded anew. A trap costs the instance, which is made again around the snapshot.
//
// With isolation warm an instance is kept as it is, as AWS Lambda does it, until it fails, for an hour or 10,000 events;
// with isolation tenant likewise, in a worker of that tenant alone. A command ends with its event, so it is always rewound.
//
// What a run executes is metered exactly (package module says what counts) and given as fuel.
//
// # What a module must look like
//
// A module imports functions of wasi_snapshot_preview1 only and brings its own single memory. It sees no file, no
// argument, no socket; the environment is the function's own; clocks and random numbers are real and fresh. It is one of
//
//   - a command: it exports _start. The event is on standard input, the answer is what it writes to standard output,
//     exit status 0 is success. Standard error is the function's log.
//   - a reactor: it exports casemate_alloc(size i32) -> i32 and casemate_handle(ptr i32, len i32) -> i64, and
//     _initialize when it has something to set up, which is called first, before the snapshot. With
//     casemate_reseed() -> i32 it draws its random numbers anew: it is called once before the snapshot and before each
//     event, and returns 0 when it could. The node asks casemate_alloc for room, puts the event there and calls
//     casemate_handle; the result is the answer's address in the upper 32 bits and its length in the lower 31. Bit 31 set
//     says that the answer is an error document: the function failed and said so. Standard input is empty; standard output
//     and standard error are both the log.
//
// Components (WASI 0.2) are recognised by their header and refused by name.
package wasm
