// Command guest is the function of the end-to-end tests, for the WebAssembly sandbox: the last part of the path says what
// it does with its event.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

func main() {
	var event struct {
		Path    string            `json:"rawPath"`
		Query   string            `json:"rawQueryString"`
		Body    string            `json:"body"`
		Base64  bool              `json:"isBase64Encoded"`
		Headers map[string]string `json:"headers"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&event); err != nil {
		fmt.Fprintln(os.Stderr, "reading the event:", err)
		os.Exit(1)
	}
	switch event.Path[strings.LastIndexByte(event.Path, '/')+1:] {
	case "spin":
		for n := uint64(1); n != 0; n += 2 {
		}
	case "crash":
		panic("the password is in line 42 of secret.go")
	case "junk":
		fmt.Print("\xff\xfe{")
		return
	}
	fmt.Fprintln(os.Stderr, "the guest was called")
	answer := map[string]any{"path": event.Path, "query": event.Query, "body": event.Body, "base64": event.Base64, "headers": event.Headers,
		"greeting": os.Getenv("GREETING")}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		os.Exit(1)
	}
}
