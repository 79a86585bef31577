package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// flood opens streams of HTTP/2 that the node has to reset (CVE-2025-8671) until it ends the connection: `flood $HTTPS /path`. It
// prints how the connection ended.
func flood(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flood base path")
	}
	addr := strings.TrimPrefix(args[0], "https://")
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	ts.Check(err)
	defer c.Close()
	_, err = io.WriteString(c, http2.ClientPreface)
	ts.Check(err)
	f := http2.NewFramer(c, c)
	ts.Check(f.WriteSettings())
	said := make(chan string, 1)
	go func() {
		end := "closed"
		for {
			f, err := f.ReadFrame()
			if g, ok := f.(*http2.GoAwayFrame); ok {
				end = g.ErrCode.String()
			}
			if f == nil && err != nil {
				said <- end
				return
			}
		}
	}()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for id := uint32(1); id < 1001 && err == nil; id += 2 {
		block.Reset()
		for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", addr}, {":path", args[1]}, {"Upper-Case", "malformed"}} {
			ts.Check(enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}))
		}
		err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}) // fails once the node hung up
	}
	fmt.Fprintf(ts.Stdout(), "%s\n", <-said)
}
