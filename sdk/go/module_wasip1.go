package function

import (
	"context"
	"encoding/json"
	"os"
	"reflect"
	"runtime"
	"unsafe"
)

// errorBit in a result says that the answer is an error document.
const errorBit = 1 << 31

// buffers hold what the node and the module hand each other during one event, so that the collector leaves it alone.
var buffers struct{ event, answer []byte }

// alloc gives room for an event of n bytes.
//
//go:wasmexport casemate_alloc
func alloc(n int32) unsafe.Pointer {
	buffers.event = make([]byte, max(n, 1))
	return unsafe.Pointer(unsafe.SliceData(buffers.event))
}

// handle runs one event, and gives the answer's address in the upper 32 bits, its length in the lower ones.
//
//go:wasmexport casemate_handle
func handle(_ unsafe.Pointer, n int32) int64 {
	answer, err := serve(context.Background(), buffers.event[:n])
	var failed int64
	if err != nil {
		os.Stderr.WriteString("error: " + err.Error() + "\n") // the function's log
		answer, failed = document(err), errorBit
	}
	buffers.answer = answer
	at := int64(uintptr(unsafe.Pointer(unsafe.SliceData(answer))))
	runtime.KeepAlive(answer)
	return at<<32 | failed | int64(len(answer))
}

// Run reads one event from standard input and answers on standard output. Only a module built as a command gets here.
func Run() {
	os.Exit(command(os.Stdin, os.Stdout, os.Stderr))
}

// document is an error as AWS Lambda's Go runtime reports it: {"errorMessage", "errorType"}.
func document(err error) []byte {
	name := reflect.TypeOf(err).String()
	if t := reflect.TypeOf(err); t.Kind() == reflect.Pointer {
		name = t.Elem().Name()
	} else if t.Name() != "" {
		name = t.Name()
	}
	b, _ := json.Marshal(map[string]string{"errorMessage": err.Error(), "errorType": name}) // two texts always encode
	return b
}
