// Command primes shows what a snapshot after initialisation is worth: it works out a large table once, and every event
// finds it ready, untouched by the events before. One source file is a WebAssembly module and an ordinary Lambda.
//
//	casemate deploy examples/primes
//	echo '{"number": 100003}' | go run ./examples/primes
package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	function "casemate/sdk/go"
)

// primes says of every number below its length whether it is prime: some milliseconds of work, and two megabytes.
var primes = sieve(2 << 20)

// events counts what this instance has seen. A rewound instance has always seen one.
var events int

// Question is the event.
type Question struct {
	Number int `json:"number"`
}

// Answer says what was asked, and two things that show where the event ran: how many came before it, and a number that
// is another one each time although the generator was made once.
type Answer struct {
	Prime  bool   `json:"prime"`
	Events int    `json:"events"`
	Random uint64 `json:"random"`
}

func init() { function.Handle(answer) }

func main() { function.Run() }

func answer(_ context.Context, q Question) (Answer, error) {
	events++
	if q.Number < 0 || q.Number >= len(primes) {
		return Answer{}, fmt.Errorf("number %d: want one from 0 to %d", q.Number, len(primes)-1)
	}
	return Answer{Prime: primes[q.Number], Events: events, Random: rand.Uint64()}, nil
}

// sieve is that of Eratosthenes.
func sieve(n int) []bool {
	p := make([]bool, n)
	for i := 2; i < n; i++ {
		p[i] = true
	}
	for i := 2; i*i < n; i++ {
		for k := i * i; p[i] && k < n; k += i {
			p[k] = false
		}
	}
	return p
}
