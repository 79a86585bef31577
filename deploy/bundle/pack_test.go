package bundle

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/deploy/manifest"
)

func setting() manifest.Setting {
	return manifest.Setting{Place: casemate.DefaultPlace, Now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
}

// project is a folder with a module, a script and a contract.
func project(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"price.wasm": "\x00asm\x01\x00\x00\x00", "orders/index.js": "exports.handler = async () => 1", "order.yaml": "properties: {n: {type: integer}}",
		manifest.File: "app: shop\nfunctions:\n  price: {runtime: wasm, code: price.wasm}\n  orders: {runtime: nodejs20.x, handler: index.handler, code: orders}\n" +
			"routes:\n  POST /orders: {function: orders, auth: [key], contract: {file: order.yaml}}\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPackIsDeterministic(t *testing.T) {
	var made [2]bytes.Buffer
	for i := range made {
		if _, err := Pack(project(t), setting(), Options{}, &made[i]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(made[0].Bytes(), made[1].Bytes()) {
		t.Error("the same files made other bytes")
	}
}

func TestPackHonoursIgnoreAndLinks(t *testing.T) {
	dir := project(t)
	write(t, filepath.Join(dir, ".casemateignore"), "# comment\n*.md\nsecret/\n!keep.md\norders/deep/only.txt\n")
	for _, f := range []string{"a.md", "keep.md", "secret/x", "deep/only.txt", "deep/other.txt", "sub/only.txt", ".git/config", ".env"} {
		write(t, filepath.Join(dir, "orders/"+f), "x")
	}
	if err := os.Symlink("index.js", filepath.Join(dir, "orders", "link.js")); err != nil {
		t.Fatal(err)
	}
	_, data, err := packCodeOf(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		if !f.Mode().IsRegular() {
			t.Errorf("%s is %s", f.Name, f.Mode())
		}
	}
	if got := strings.Join(names, " "); got != ".env deep/other.txt index.js keep.md link.js sub/only.txt" {
		t.Error(got)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "orders", "out")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := packCodeOf(t, dir); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("a link out of the folder was packed: %v", err)
	}
}

func packCodeOf(t *testing.T, dir string) (string, []byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return packCode(root, "orders")
}

func TestPackNamesWhatIsMissing(t *testing.T) {
	for name, change := range map[string]func(dir string){
		"price.wasm":  func(dir string) { _ = os.Remove(filepath.Join(dir, "price.wasm")) },
		"orders":      func(dir string) { _ = os.RemoveAll(filepath.Join(dir, "orders")) },
		"order.yaml":  func(dir string) { _ = os.Remove(filepath.Join(dir, "order.yaml")) },
		manifest.File: func(dir string) { _ = os.Remove(filepath.Join(dir, manifest.File)) },
	} {
		dir := project(t)
		change(dir)
		if _, err := Pack(dir, setting(), Options{}, io.Discard); casemate.AsError(err).Field != name || casemate.CodeOf(err) != casemate.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	var b bytes.Buffer
	if _, err := Pack(project(f), setting(), Options{}, &b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := Open(data, setting(), nil); err == nil && len(b.Code) != len(b.Manifest.Functions) {
			t.Fatal("a function without code")
		}
	})
}
