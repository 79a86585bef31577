package e2e

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// makeCommand makes files that no honest program would: make KIND FILE [NUMBER].
func makeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: make KIND FILE [NUMBER]")
	}
	n := 0
	if len(args) > 2 {
		var err error
		n, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	data, err := hostile(args[0], n, ts)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o644))
}

func hostile(kind string, n int, ts *testscript.TestScript) ([]byte, error) {
	switch kind {
	case "nested": // JSON, n deep
		return []byte(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)), nil
	case "name": // a valid body with a name of n letters
		return []byte(`{"name":"` + strings.Repeat("a", n) + `"}`), nil
	case "digits": // a number of n digits
		return []byte(`{"name":"Ada","quantity":` + strings.Repeat("9", n) + `}`), nil
	case "latin1": // JSON in a text encoding that is not UTF-8
		return []byte("{\"name\":\"Andr\xe9\"}"), nil
	case "gzip": // n zero bytes, compressed
		return packed(make([]byte, n))
	case "gzip-json": // a valid body, compressed
		return packed([]byte(`{"name":"Ada"}`))
	case "query": // a request line with n parameters
		return []byte("GET /guest/echo?" + strings.Repeat("a=1&", n) + " HTTP/1.1\nHost: x\nConnection: close\n\n"), nil
	case "headers": // n header lines
		return []byte("GET /guest/echo HTTP/1.1\nHost: x\nConnection: close\n" + strings.Repeat("X-Flood: 1\n", n) + "\n"), nil
	case "component": // a WebAssembly component: layer 1 instead of 0
		return []byte("\x00asm\x0d\x00\x01\x00"), nil
	case "truncated": // half of a good module
		module := ts.ReadFile(filepath.Join(shared.shop, "build/price.wasm"))
		return []byte(module[:len(module)/2]), nil
	}
	if trick, ok := strings.CutPrefix(kind, "zip-"); ok {
		return bundle(trick)
	}
	return nil, fmt.Errorf("there is no %q", kind)
}

func packed(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err := w.Close()
	return b.Bytes(), err
}

// bundle is a deploy bundle that is fine but for one trick in the code of its function.
func bundle(trick string) ([]byte, error) {
	code, err := code(trick)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range []struct{ name, text string }{
		{"casemate.yaml", "app: bad\nfunctions:\n  f: {runtime: provided.al2023, code: c}\n"}, {"code/f.zip", string(code)},
	} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Store})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			return nil, err
		}
	}
	err = z.Close()
	return b.Bytes(), err
}

func code(trick string) ([]byte, error) {
	type entry struct {
		name string
		mode fs.FileMode
		size int
	}
	entries := []entry{{"bootstrap", 0o755, 10}}
	switch trick {
	case "none":
	case "traversal":
		entries = append(entries, entry{"../../etc/passwd", 0o644, 10})
	case "absolute":
		entries = append(entries, entry{"/etc/passwd", 0o644, 10})
	case "symlink":
		entries = append(entries, entry{"link", 0o777 | fs.ModeSymlink, 10})
	case "device":
		entries = append(entries, entry{"null", 0o666 | fs.ModeDevice | fs.ModeCharDevice, 0})
	case "twice":
		entries = append(entries, entry{"bootstrap", 0o755, 11})
	case "bomb":
		entries = append(entries, entry{"zeros", 0o644, 30 << 20})
	case "many":
		for i := range 110_000 {
			entries = append(entries, entry{"f" + strconv.Itoa(i), 0o644, 0})
		}
	default:
		return nil, fmt.Errorf("there is no trick %q", trick)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.size == 0 { // a compressor for each of very many would take minutes
			h.Method = zip.Store
		}
		h.SetMode(e.mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(make([]byte, e.size)); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}
