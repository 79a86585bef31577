// Package e2e tests the product as its users meet it: the real binary, real HTTP, real TLS, real functions. Each script in
// testdata is one story to be read from top to bottom, and a manual by example; `go test ./test/e2e -run Scripts/keys`
// plays one.
//
// Beside the commands of testscript (https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript) a script has:
//
//	up [FLAGS]                      start a node in $CASEMATE_DIR; sets $HTTP, $HTTPS, $CA, $ADMIN, $SOCKET
//	down                            end it by its own process id; it must exit 0; its standard error is stderr
//	http METHOD URL [OPTIONS]       send a request; status line, headers and body are stdout. Options: -key FILE, -jwt FILE,
//	                                -h 'K: V', -body FILE, -data TEXT, -json TEXT, -unix SOCKET, -chunked
//	raw FILE                        send the file's lines to $HTTP as they stand, CRLF between them; the answer is stdout
//	json PATH VALUE                 hold a value of the last output's JSON against a regular expression
//	json PATH -> NAME               keep it in $NAME
//	header NAME -> VAR              keep a header of the last answer
//	await PATTERN PROGRAM ARGS      run a program until a line of its output matches, then interrupt it; it must exit 0
//	until PATTERN PROGRAM ARGS      run a program again and again until its output matches
//	exit STATUS PROGRAM ARGS        run a program that has to end with this status
//	replace FILE OLD NEW            change a file
//	jwt keys FILE / jwt token ...   make a key set, and tokens of it
//	make KIND FILE                  make a hostile file: see make_test.go
//	collector start|await           hear OTLP, and wait for what must come
//	sdk LANGUAGE DIR                put a function that calls AWS services with the SDK for go, node or python into a folder
//	courier FILE                    make a WebAssembly module that asks outside: guests.Courier
//	[sdk:node] COMMAND              only where that SDK can be had; likewise
//	[has:nodejs] COMMAND            only where the runtime is installed; said aloud otherwise, and a failure with CI=true
package e2e
