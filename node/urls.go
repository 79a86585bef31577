package node

import (
	"context"
	"io"
	"strings"
	"time"

	"casemate"
	"casemate/catalog/code"
	"casemate/service/lambda/control"
	"casemate/service/lambda/layer"
)

// besides is what Lambda's management API needs beside the catalog.
func (n *node) besides() control.Standing {
	return control.Standing{Layers: n.layers, Layer: n.layers.Find, Concurrency: n.cfg.Concurrency, URL: n.functionURL, Ready: n.ready, Aloud: func(what string, lasts time.Duration) {
		n.cfg.Log.Warn(what, "until", time.Now().Add(lasts).UTC().Format(time.DateOnly))
	}}
}

// functionURL is where a function URL is reached, by the first label of its name; over TLS where the node speaks it.
func (n *node) functionURL(id string) string {
	base := "https://"
	port := ""
	if n.http != nil {
		for _, u := range n.http.URLs() {
			scheme, addr, _ := strings.Cut(u, "://")
			if i := strings.LastIndexByte(addr, ':'); i >= 0 && (port == "" || scheme == "https") {
				base, port = scheme+"://", addr[i:]
			}
		}
	}
	if base == "https://" && port == ":443" || base == "http://" && port == ":80" {
		port = ""
	}
	return base + id + "." + n.cfg.Domain + port + "/"
}

// ready counts the sandboxes of a version that could take an event. Those of WebAssembly are rewound, and never wait to be made.
func (n *node) ready(v *casemate.Version) (count int) {
	if v.Runtime.Family() == "wasm" {
		return v.Spare
	}
	for _, s := range n.pool.Snapshot() {
		if s.App == v.App && s.Function == v.Function && s.Version == v.Number {
			count++
		}
	}
	return count
}

// openLayers takes up the published layers.
func (n *node) openLayers(context.Context) (err error) {
	n.layers, err = layer.Open(layer.Config{Store: n.store, Place: n.cfg.Place, Clock: time.Now, Inspect: func(r io.ReaderAt, size int64) (int64, []string, error) {
		c, err := code.InspectLayer(r, size, code.Bounds{})
		return c.Bytes, c.Extensions, err
	}})
	return err
}
