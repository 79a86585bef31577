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
// A module imports functions of wasi_snapshot_preview1, and of Casemate the two below, and brings its own single memory.
// It sees no file, no argument, no socket; the environment is the function's own; clocks and random numbers are real and
// fresh. It is one of
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
// # The way out
//
// A module may import from "casemate"
//
//	http_send(ptr i32, len i32) -> i64
//	http_read(ptr i32, len i32) -> i32
//
// http_send makes the HTTP exchange that the text in memory asks for, and gives the length of the whole response in bytes;
// http_read copies the next of them to memory, as many as there are and as have room, and gives their number; 0 is the end.
//
//	METHOD URL\r\nName: value\r\n...\r\n\r\nbody      of a request
//	STATUS\r\nName: value\r\n...\r\n\r\nbody          of a response
//
// The URL is absolute, http or https. The node resolves, dials and speaks TLS, writes Host, Content-Length and what else
// frames a message (a request that names those is malformed), follows no redirect and uses no proxy. The host and port of
// the URL need a grant of the function, "connect HOST:PORT"; limits.connections and limits.traffic hold, and what was done
// and refused is in the record of the event, as it is for other runtimes. Less than 0 says that there is no response:
//
//	-1  refused: no grant, a limit was reached, or no event is being handled (a module that initialises before its snapshot)
//	-2  it failed: the name, the connection, TLS, no answer within a minute
//	-3  malformed, or outside of the memory (http_read gives this one, too)
//	-4  too large: a request over 1 MiB or 100 fields, a response over 6 MiB
//
// There is one response at a time: http_send drops the one before, and the event's end the last. The event's deadline ends
// an exchange, too. Waiting costs neither fuel nor CPU time.
//
// Components (WASI 0.2) are recognised by their header and refused by name.
package wasm
