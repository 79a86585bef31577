package web

import (
	"net/http"
	"runtime"
	"unsafe"
)

// The module "casemate" is described in the documentation of WebAssembly functions.

//go:wasmimport casemate http_send
//go:noescape
func httpSend(at unsafe.Pointer, n uint32) int64

//go:wasmimport casemate http_read
//go:noescape
func httpRead(at unsafe.Pointer, n uint32) int32

func send(text []byte) int64 {
	n := httpSend(unsafe.Pointer(unsafe.SliceData(text)), uint32(len(text)))
	runtime.KeepAlive(text)
	return n
}

func read(room []byte) int32 {
	n := httpRead(unsafe.Pointer(unsafe.SliceData(room)), uint32(len(room)))
	runtime.KeepAlive(room)
	return n
}

var outside = &transport{send: send, read: read}

// Client gives a client whose exchanges Casemate makes, one at a time. A request is at most 1 MiB, a response 6 MiB, each
// as a whole; both are in memory. The event's deadline ends it; a context and a time-out do only before it begins.
func Client() *http.Client { return &http.Client{Transport: outside} }
