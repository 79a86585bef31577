// Package function writes a function once, for both worlds: a WebAssembly module that Casemate snapshots after its
// initialisation and rewinds after every event, and an ordinary AWS Lambda function for a provided runtime.
//
//	package main
//
//	import function "casemate/sdk/go"
//
//	var prices = load() // once: the snapshot is taken after it
//
//	func init() { function.Handle(price) }
//	func main() { function.Run() }
//
//	func price(ctx context.Context, e Event) (Answer, error) { ... }
//
// It is part of Casemate's module, which lies in your clone of it. In a module of your own, say where:
//
//	go mod edit -require casemate@v0.0.0 -replace casemate=/path/to/casemate && go mod tidy
//
// Build it as a module, and it is initialised once and fresh for every event:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o price.wasm .
//
// or as a bootstrap for provided.al2023, which runs on AWS Lambda as well:
//
//	CGO_ENABLED=0 go build -o bootstrap .
//
// Without -buildmode=c-shared the module is a command: it reads its event from standard input, and is initialised for
// every event.
//
// What is set up in package variables and init functions stands in the snapshot, random numbers drawn there included.
// Casemate gives every event randomness of its own: crypto/rand and the top-level functions of math/rand and
// math/rand/v2 never repeat. A generator that the function seeded itself must be seeded again by a hook: OnEvent.
//
// Package web, below this one, is the HTTP client of functions in both worlds.
package function
