package code

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"casemate"
)

// extensionsFolder of a layer holds the programs that run beside a function.
const extensionsFolder = "extensions/"

// Layers gives the folder with the unpacked layers of a version, later ones over earlier ones: what is /opt in its
// sandboxes. Versions with the same layers share it. It stays until release is called, which must happen once.
func (c *Cache) Layers(ctx context.Context, v *casemate.Version) (dir string, release func(), err error) {
	h := sha256.New()
	for _, l := range v.Layers {
		if !isDigest(l.Code) {
			return "", nil, fmt.Errorf("version %d of %s has a layer without a digest", v.Number, v.Function)
		}
		io.WriteString(h, l.Code)
	}
	if len(v.Layers) == 0 || len(v.Layers) > casemate.MaxLayers {
		return "", nil, fmt.Errorf("version %d of %s has %d layers", v.Number, v.Function, len(v.Layers))
	}
	return c.take(ctx, "opt-"+hex.EncodeToString(h.Sum(nil)), func(to string) error { return c.stack(ctx, v, to) })
}

// stack unpacks the layers of a version one after the other and puts each over those before it.
func (c *Cache) stack(ctx context.Context, v *casemate.Version, to string) error {
	left := c.bounds.orDefault()
	for k, l := range v.Layers {
		one := *v
		one.Code, one.CodeSize = l.Code, l.Size
		next := to
		if k > 0 {
			next = to + "-" + strconv.Itoa(k)
		}
		err := c.fill(ctx, &one, next, func(blob *os.File, size int64, to string) error { return Unpack(ctx, blob, size, to, left) })
		if err == nil {
			var n int64
			n, err = weight(next)
			left.Total -= n
		}
		if err == nil && k > 0 {
			err = over(next, to)
			err = errors.Join(err, os.RemoveAll(next))
		}
		if err == nil && left.Total <= 0 && k < len(v.Layers)-1 {
			err = large("unpacked bytes of all layers", 0)
		}
		if err != nil {
			return errors.Join(err, os.RemoveAll(to), os.RemoveAll(next))
		}
	}
	return nil
}

// weight is how many bytes the files of a folder have.
func weight(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// over moves the files of one unpacked folder into another; where both have a name, what is moved is there afterwards.
// Both were written by Unpack: there are plain files and folders, and no links.
func over(from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == from {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(p, from))
		old, lerr := os.Lstat(at)
		if lerr == nil && old.IsDir() != d.IsDir() {
			if err := os.RemoveAll(at); err != nil {
				return err
			}
		}
		if !d.IsDir() {
			return os.Rename(p, at)
		}
		if lerr == nil && old.IsDir() {
			return nil
		}
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		return os.Chmod(at, 0o755)
	})
}

// Content is what the directory of an archive says of it.
type Content struct {
	Bytes      int64    // of all its files, unpacked
	Extensions []string // executable files directly in extensions/, sorted: those that Lambda would start
}

// InspectLayer is Inspect for a layer, and says what a deploy has to know of it.
func InspectLayer(r io.ReaderAt, size int64, b Bounds) (Content, error) {
	z, err := inspect(r, size, b.orDefault())
	if err != nil {
		return Content{}, err
	}
	var c Content
	for _, f := range z.File {
		c.Bytes += int64(f.UncompressedSize64)
		if name, in := strings.CutPrefix(f.Name, extensionsFolder); in && isExtension(f, name) {
			c.Extensions = append(c.Extensions, name)
		}
	}
	slices.Sort(c.Extensions)
	return c, nil
}

func isExtension(f *zip.File, name string) bool {
	return name != "" && !strings.Contains(name, "/") && f.Mode()&0o111 != 0
}

func isDigest(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
