// Command guest is what the package's tests run as a module, as a command and as a bootstrap.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand"
	randv2 "math/rand/v2"

	crand "crypto/rand"

	function "casemate/sdk/go"
)

// made and drawn before the snapshot.
var (
	made   = randv2.New(randv2.NewPCG(1, 2))
	drawn  = randv2.Uint64()
	events int
)

type question struct {
	Do string `json:"do"`
}

type answer struct {
	Events int      `json:"events"`
	Drawn  uint64   `json:"drawn"`
	Random []uint64 `json:"random"` // one of each generator
	Bytes  string   `json:"bytes"`
}

func init() {
	function.Handle(handle)
	function.OnEvent(func() error { made = randv2.New(randv2.NewPCG(randv2.Uint64(), randv2.Uint64())); return nil })
}

func main() { function.Run() }

func handle(_ context.Context, q question) (answer, error) {
	events++
	switch q.Do {
	case "fail":
		return answer{}, errors.New("no luck")
	case "panic":
		panic("at the disco")
	}
	a := answer{Events: events, Drawn: drawn, Random: []uint64{rand.Uint64(), randv2.Uint64(), made.Uint64()}}
	var b [16]byte
	crand.Read(b[:])
	a.Bytes = hex.EncodeToString(b[:])
	return a, nil
}
