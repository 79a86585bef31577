package code

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"casemate"
)

type file struct {
	name string
	body string
	mode fs.FileMode
}

func pack(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		if f.mode == 0 {
			f.mode = 0o644
		}
		h.SetMode(f.mode)
		e, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(e, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(t testing.TB, data []byte, b Bounds) (string, error) {
	dir := filepath.Join(t.TempDir(), "code")
	return dir, Unpack(t.Context(), bytes.NewReader(data), int64(len(data)), dir, b)
}

// Sandboxes have uids of their own: a strict umask of the node must not shut them out.
func TestUnpack(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir, err := unpack(t, pack(t, file{"bootstrap", "run", 0o4755}, file{"lib/", "", fs.ModeDir | 0o777}, file{"lib/a/b.js", "x", 0o600}, file{"README", "", 0}, file{"readme", "", 0}), Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"bootstrap": 0o555, "lib/a/b.js": 0o444, "README": 0o444, "readme": 0o444,
		".": fs.ModeDir | 0o755, "lib": fs.ModeDir | 0o755, "lib/a": fs.ModeDir | 0o755} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, st, err, want)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	deep := strings.Repeat("d/", 70) + "f"
	for name, c := range map[string]struct {
		files []file
		b     Bounds
		code  casemate.Code
	}{
		"traversal":        {[]file{{"../x", "", 0}}, Bounds{}, casemate.Invalid},
		"inner traversal":  {[]file{{"a/../../x", "", 0}}, Bounds{}, casemate.Invalid},
		"harmless dots":    {[]file{{"a/./x", "", 0}}, Bounds{}, casemate.Invalid},
		"absolute":         {[]file{{"/etc/x", "", 0}}, Bounds{}, casemate.Invalid},
		"drive":            {[]file{{"C:/x", "", 0}}, Bounds{}, casemate.Invalid},
		"backslash":        {[]file{{`..\x`, "", 0}}, Bounds{}, casemate.Invalid},
		"nul":              {[]file{{"a\x00b", "", 0}}, Bounds{}, casemate.Invalid},
		"newline":          {[]file{{"a\nb", "", 0}}, Bounds{}, casemate.Invalid},
		"not utf-8":        {[]file{{"a\xff", "", 0}}, Bounds{}, casemate.Invalid},
		"empty element":    {[]file{{"a//b", "", 0}}, Bounds{}, casemate.Invalid},
		"empty name":       {[]file{{"", "", 0}}, Bounds{}, casemate.Invalid},
		"long element":     {[]file{{strings.Repeat("a", 256), "", 0}}, Bounds{}, casemate.Invalid},
		"deep":             {[]file{{deep, "", 0}}, Bounds{}, casemate.Invalid},
		"symlink":          {[]file{{"a", "/etc/passwd", fs.ModeSymlink | 0o777}}, Bounds{}, casemate.Invalid},
		"device":           {[]file{{"a", "", fs.ModeDevice | 0o666}}, Bounds{}, casemate.Invalid},
		"pipe":             {[]file{{"a", "", fs.ModeNamedPipe | 0o666}}, Bounds{}, casemate.Invalid},
		"twice":            {[]file{{"a", "1", 0}, {"a", "2", 0}}, Bounds{}, casemate.Invalid},
		"file and folder":  {[]file{{"a", "1", 0}, {"a/b", "2", 0}}, Bounds{}, casemate.Invalid},
		"folder and file":  {[]file{{"a/b", "1", 0}, {"a", "2", 0}}, Bounds{}, casemate.Invalid},
		"no file":          {nil, Bounds{}, casemate.Invalid},
		"too many":         {[]file{{"a", "", 0}, {"b", "", 0}}, Bounds{Entries: 1}, casemate.TooLarge},
		"too many folders": {[]file{{"a/b/c/d/e/f", "", 0}, {"a/b/x", "", 0}}, Bounds{Entries: 6}, casemate.TooLarge}, // each folder is one on the disk
		"too large":        {[]file{{"a", "123", 0}, {"b", "456", 0}}, Bounds{Total: 5}, casemate.TooLarge},
		"bomb":             {[]file{{"a", strings.Repeat("\x00", 3<<20), 0}}, Bounds{}, casemate.TooLarge},
		"climbs by folder": {[]file{{"../", "", fs.ModeDir | 0o755}, {"a", "", 0}}, Bounds{}, casemate.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			data := pack(t, c.files...)
			dir, err := unpack(t, data, c.b)
			if casemate.CodeOf(err) != c.code || err == nil {
				t.Fatalf("%v", err)
			}
			if casemate.CodeOf(Inspect(bytes.NewReader(data), int64(len(data)), c.b)) != c.code {
				t.Error("the check of a deploy lets it through")
			}
			if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// Headers that lie: what is written is counted, not what is declared, and nothing half-unpacked stays.
func TestUnpackLies(t *testing.T) {
	good := pack(t, file{"a", strings.Repeat("abc", 1000), 0})
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0xff
		dir, err := unpack(t, bad, Bounds{Total: 4000})
		left, _ := os.ReadDir(filepath.Dir(dir))
		if err != nil && len(left) != 0 || err == nil && len(left) != 1 {
			t.Fatalf("byte %d: %v left %v", i, err, left)
		}
	}
	for _, junk := range [][]byte{nil, []byte("PK"), good[:len(good)/2]} {
		if _, err := unpack(t, junk, Bounds{}); casemate.CodeOf(err) != casemate.Invalid || err == nil {
			t.Error(err)
		}
	}
	dir, err := unpack(t, good, Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Unpack(t.Context(), bytes.NewReader(good), int64(len(good)), dir, Bounds{}); err == nil {
		t.Error("unpacked over what was there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Unpack(ctx, bytes.NewReader(good), int64(len(good)), dir+"2", Bounds{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack(f, file{"a/b", "x", 0o755}, file{"c", "", 0}))
	f.Add(pack(f, file{"../b", "x", 0}, file{"l", "/", fs.ModeSymlink}))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir, err := unpack(t, data, Bounds{Total: 1 << 16, Entries: 50})
		top, _ := os.ReadDir(filepath.Dir(dir))
		if err != nil && len(top) > 0 {
			t.Fatalf("left behind: %v", top)
		}
		var total int64
		_ = filepath.WalkDir(filepath.Dir(dir), func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() && !d.Type().IsRegular() {
				t.Fatalf("%s: %v %v", p, d, err)
			}
			if st, err := d.Info(); err == nil && !d.IsDir() {
				total += st.Size()
			}
			return nil
		})
		if total > 1<<16 {
			t.Fatalf("%d bytes came out", total)
		}
	})
}

// shelf is a source that counts how often it was asked.
type shelf struct {
	mu    sync.Mutex
	blobs map[string][]byte
	asked int
	fail  error
}

func (s *shelf) Open(_ context.Context, d string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.fail != nil {
		return nil, s.fail
	}
	return io.NopCloser(bytes.NewReader(s.blobs[d])), nil
}

func (s *shelf) put(data []byte) *casemate.Version {
	d := fmt.Sprintf("%x", sha256.Sum256(data))
	s.blobs[d] = data
	return &casemate.Version{Function: "f", Number: 1, Code: d, CodeSize: int64(len(data))}
}

func cache(t *testing.T, idle int) (*Cache, *shelf, string) {
	t.Helper()
	s, dir := &shelf{blobs: map[string][]byte{}}, filepath.Join(t.TempDir(), "cache")
	c, err := Open(dir, s, Bounds{}, idle)
	if err != nil {
		t.Fatal(err)
	}
	return c, s, dir
}

func TestCacheSharesAndEvicts(t *testing.T) {
	c, s, dir := cache(t, 1)
	v := s.put(pack(t, file{"index.js", "1", 0}))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			d, release, err := c.Dir(t.Context(), v)
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			if b, err := os.ReadFile(filepath.Join(d, "index.js")); err != nil || string(b) != "1" {
				t.Error(string(b), err)
			}
		})
	}
	wg.Wait()
	if s.asked != 1 {
		t.Errorf("fetched %d times", s.asked)
	}
	wasm := s.put([]byte("\x00asm"))
	p, release, err := c.File(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(p); err != nil || string(b) != "\x00asm" {
		t.Error(string(b), err)
	}
	release()
	release() // a second call must do nothing
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("kept %v", left)
	}
	if _, err := os.Stat(p); err != nil {
		t.Error("the piece used last was removed")
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c, s, _ := cache(t, 0)
	a, relA, err := c.Dir(t.Context(), s.put(pack(t, file{"a", "1", 0})))
	if err != nil {
		t.Fatal(err)
	}
	_, relB, err := c.Dir(t.Context(), s.put(pack(t, file{"b", "1", 0})))
	if err != nil {
		t.Fatal(err)
	}
	relB()
	if _, err := os.Stat(a); err != nil {
		t.Error("code in use was removed")
	}
	relA()
	if _, err := os.Stat(a); err == nil {
		t.Error("idle code was kept")
	}
}

// The digest in the version decides what runs, not the store.
func TestGHSA_chf8_4hv6_8pg6_ReplacedCodeDoesNotRun(t *testing.T) {
	c, s, dir := cache(t, 5)
	v := s.put(pack(t, file{"a", "1", 0}))
	s.blobs[v.Code] = pack(t, file{"a", "2", 0})
	v.CodeSize = 0
	e := (*casemate.Error)(nil)
	if _, _, err := c.Dir(t.Context(), v); !errors.As(err, &e) || e.Code != casemate.Fault || !strings.Contains(e.Err.Error(), "not what was deployed") {
		t.Fatal(err)
	}
	// A caller that is no operator must not take lost code for a wrong address, nor learn its digest.
	gone := *v
	gone.Code = strings.Repeat("0", 64)
	if _, _, err := c.Dir(t.Context(), &gone); !errors.As(err, &e) || e.Code != casemate.Fault || strings.Contains(e.Error(), gone.Code) {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	for _, d := range []string{"", "../../etc", strings.Repeat("Z", 64)} {
		if _, _, err := c.File(t.Context(), &casemate.Version{Code: d}); err == nil {
			t.Errorf("%q is a digest", d)
		}
	}
}

func TestCacheTriesAgainAfterFailure(t *testing.T) {
	c, s, _ := cache(t, 5)
	v := s.put(pack(t, file{"a", "1", 0}))
	s.fail = errors.New("no store")
	if _, _, err := c.Dir(t.Context(), v); err == nil {
		t.Fatal("no error")
	}
	s.fail = nil
	if _, release, err := c.Dir(t.Context(), v); err != nil {
		t.Fatal(err)
	} else {
		release()
	}
}

// What an earlier process left is never run.
func TestOpenEmptiesTheCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	if err := os.MkdirAll(filepath.Join(dir, "dir-old"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, &shelf{}, Bounds{}, 1); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Error(left)
	}
}
