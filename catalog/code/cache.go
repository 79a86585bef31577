package code

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"casemate"
)

// Source gives blobs by their digest.
type Source interface {
	Open(ctx context.Context, digest string) (io.ReadCloser, error)
}

// Cache holds unpacked code in a folder of its own. Nothing in it is older than the process: what a crash left half
// written, or somebody changed meanwhile, is never run.
type Cache struct {
	dir    string
	source Source
	bounds Bounds
	idle   int

	mu      sync.Mutex
	entries map[string]*entry // by kind and digest
	serial  int
}

// entry is one piece of code. ready is closed when path or err is set.
type entry struct {
	ready chan struct{}
	path  string
	err   error
	users int
	used  int // serial of the last use
}

// maxCode bounds a blob before it is unpacked.
const maxCode = 256 << 20

// Open empties dir, makes it when it is missing, and keeps code there; at most idle pieces that nobody uses.
func Open(dir string, source Source, b Bounds, idle int) (*Cache, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("emptying the code cache: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the code cache: %w", err)
	}
	return &Cache{dir: dir, source: source, bounds: b, idle: max(idle, 0), entries: map[string]*entry{}}, nil
}

// Dir gives the folder with the unpacked code of a version. It stays until release is called, which must happen once.
func (c *Cache) Dir(ctx context.Context, v *casemate.Version) (dir string, release func(), err error) {
	return c.takeCode(ctx, "dir", v, func(blob *os.File, size int64, to string) error {
		return Unpack(ctx, blob, size, to, c.bounds)
	})
}

// File gives the file with the code of a version as it was deployed: a wasm module. It stays until release is called,
// which must happen once.
func (c *Cache) File(ctx context.Context, v *casemate.Version) (file string, release func(), err error) {
	return c.takeCode(ctx, "file", v, func(blob *os.File, _ int64, to string) error {
		if err := blob.Chmod(0o444); err != nil {
			return err
		}
		return os.Link(blob.Name(), to)
	})
}

type filler func(blob *os.File, size int64, to string) error

func (c *Cache) takeCode(ctx context.Context, kind string, v *casemate.Version, fill filler) (string, func(), error) {
	if !isDigest(v.Code) {
		return "", nil, fmt.Errorf("version %d of %s has no code digest", v.Number, v.Function)
	}
	return c.take(ctx, kind+"-"+v.Code, func(to string) error { return c.fill(ctx, v, to, fill) })
}

// take gives the entry of a key, filled by the first who asks while the others wait. When that one gives up, the next one
// tries.
func (c *Cache) take(ctx context.Context, key string, fill func(to string) error) (string, func(), error) {
	for {
		e, mine := c.entry(key)
		if mine {
			e.err = fill(e.path)
			if e.err != nil {
				c.drop(key, e)
			}
			close(e.ready)
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			c.release(e)
			return "", nil, ctx.Err()
		}
		if e.err == nil {
			return e.path, sync.OnceFunc(func() { c.release(e) }), nil
		}
		if mine {
			return "", nil, e.err
		}
	}
}

// entry finds or makes the entry of key and counts the caller as its user. mine means that the caller has to fill it.
func (c *Cache) entry(key string) (e *entry, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	e = c.entries[key]
	if e == nil {
		e = &entry{ready: make(chan struct{}), path: filepath.Join(c.dir, key+"-"+strconv.Itoa(c.serial))}
		c.entries[key], mine = e, true
	}
	e.users++
	e.used = c.serial
	return e, mine
}

func (c *Cache) drop(key string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[key] == e {
		delete(c.entries, key)
	}
}

// release counts a user off and removes the pieces that have been idle longest.
func (c *Cache) release(e *entry) {
	for _, path := range c.leave(e) {
		// A piece that cannot be removed now goes when the cache is opened the next time.
		_ = os.RemoveAll(path)
	}
}

func (c *Cache) leave(e *entry) (gone []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
	for {
		var oldest string
		idle := 0
		for key, x := range c.entries {
			if x.users > 0 {
				continue
			}
			idle++
			if oldest == "" || x.used < c.entries[oldest].used {
				oldest = key
			}
		}
		if idle <= c.idle {
			return gone
		}
		gone = append(gone, c.entries[oldest].path)
		delete(c.entries, oldest)
	}
}

// lost is what callers hear when the code is not what was deployed, or not there: why is for the log.
func lost(v *casemate.Version, err error) error {
	return &casemate.Error{Code: casemate.Fault, Message: "the code of function " + v.Function + " is damaged or missing",
		Hint: "the operator restores the node's folder from a backup, or deploys again", Err: err}
}

// fill fetches the blob, holds it against the digest of the version and hands it to f.
func (c *Cache) fill(ctx context.Context, v *casemate.Version, to string, f filler) error {
	r, err := c.source.Open(ctx, v.Code)
	if casemate.CodeOf(err) == casemate.NotFound {
		return lost(v, err)
	}
	if err != nil {
		return fmt.Errorf("opening the code of %s: %w", v.Function, err)
	}
	defer r.Close()
	blob, err := os.CreateTemp(c.dir, ".blob-*")
	if err != nil {
		return fmt.Errorf("making room for the code of %s: %w", v.Function, err)
	}
	defer os.Remove(blob.Name())
	defer blob.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(blob, h), io.LimitReader(patient{ctx, r}, maxCode+1))
	switch coded := (*casemate.Error)(nil); {
	case errors.As(err, &coded) && coded.Code == casemate.Fault: // the store says that it is damaged
		return lost(v, err)
	case err != nil:
		return fmt.Errorf("fetching the code of %s: %w", v.Function, err)
	case n > maxCode || v.CodeSize > 0 && n != v.CodeSize:
		return lost(v, fmt.Errorf("it is %d bytes long, not %d", n, v.CodeSize))
	case hex.EncodeToString(h.Sum(nil)) != v.Code:
		return lost(v, errors.New("it is not what was deployed"))
	}
	if err := f(blob, n, to); err != nil {
		return fmt.Errorf("unpacking the code of %s: %w", v.Function, err)
	}
	return nil
}
