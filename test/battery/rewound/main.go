// Command rewound leaves a token in every place that a WebAssembly module has, or looks for one. Built as a library it is
// initialised once and rewound; as a program it is new for every event.
package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"

	function "casemate/sdk/go"
)

// Where a token can be left in a module.
var (
	planted string
	ballast [][]byte
	table   = map[string]string{}
	closure func() string
)

func init() { function.Handle(handle) }

func main() { function.Run() }

type answer struct {
	Worked bool   `json:"worked"`
	Detail string `json:"detail"`
}

func handle(_ context.Context, event struct{ Body string }) (answer, error) {
	var order map[string]string
	if err := json.Unmarshal([]byte(event.Body), &order); err != nil {
		return answer{}, err
	}
	if order["attack"] == "plant" {
		plant(order["head"] + order["tail"])
		return answer{Detail: "planted"}, nil
	}
	found := strings.Join(look(), ", ")
	return answer{found != "", found}, nil
}

func plant(token string) {
	planted, table["canary"] = token, token
	closure = func() string { return token }
	for range 64 { // memory has to grow for it
		ballast = append(ballast, []byte(strings.Repeat(token, 4096)))
	}
	os.Setenv("CANARY", token)
	for _, place := range []string{"/tmp/canary", "canary", "/canary"} {
		_ = os.WriteFile(place, []byte(token), 0o600) // most of them are not there
	}
	go func() {
		for i := 0; ; i++ {
			table["later"] = token[i%len(token):]
		}
	}()
}

func look() (found []string) {
	if planted != "" || closure != nil {
		found = append(found, "globals")
	}
	if len(ballast) > 0 || len(table) > 0 {
		found = append(found, "memory")
	}
	if _, ok := os.LookupEnv("CANARY"); ok {
		found = append(found, "environment")
	}
	for _, place := range []string{"/tmp/canary", "canary", "/canary"} {
		if _, err := os.Stat(place); err == nil {
			found = append(found, place)
		}
	}
	return found
}
