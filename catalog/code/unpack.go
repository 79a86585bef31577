// Package code brings the code of versions onto the local disk: zips unpacked with suspicion, modules as they are, each
// under its digest, shared by all who run it.
package code

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"casemate"
	"casemate/internal/walls"
)

// Bounds limit a zip. A zero field means the default, never "unlimited".
type Bounds struct {
	Total   int64 // bytes of all files, unpacked
	Entries int   // files and folders, those that no entry names but lie on its way too
	Ratio   int64 // unpacked bytes for one packed byte, looked at beyond the first megabyte
}

// DefaultBounds are AWS Lambda's 250 MB, and more entries and a higher ratio than real packages have.
func DefaultBounds() Bounds { return Bounds{Total: 250 << 20, Entries: 100_000, Ratio: 200} }

func (b Bounds) orDefault() Bounds {
	d := DefaultBounds()
	if b.Total > 0 {
		d.Total = b.Total
	}
	if b.Entries > 0 {
		d.Entries = b.Entries
	}
	if b.Ratio > 0 {
		d.Ratio = b.Ratio
	}
	return d
}

// Unpack writes the files of a zip below dir, which must not exist and appears whole or not at all. Names that climb,
// are absolute, hold a drive, a backslash or a control character, or stand twice; links and devices; encrypted entries,
// unknown packing and sizes beyond the bounds are refused, with the name of the entry. Files become read-only for
// everybody, executable when they were for somebody; owners, times and other modes are dropped. Names that differ in
// case only are two files, as on the Linux they will run on.
func Unpack(ctx context.Context, r io.ReaderAt, size int64, dir string, b Bounds) error {
	b = b.orDefault()
	z, err := inspect(r, size, b)
	if err != nil {
		return err
	}
	if !walls.Up {
		return naive(z, dir)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".unpack-*")
	if err != nil {
		return fmt.Errorf("making room for code: %w", err)
	}
	defer os.RemoveAll(tmp) // after the rename there is nothing left to remove
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return fmt.Errorf("opening room for code: %w", err)
	}
	defer root.Close()
	left := b.Total
	for _, f := range z.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := write(ctx, root, f, left)
		if err != nil {
			return err
		}
		left -= n
	}
	if err := openFolders(root); err != nil {
		return fmt.Errorf("opening code to its sandbox: %w", err)
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("unpacking code: %s exists", filepath.Base(dir))
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("putting code in place: %w", err)
	}
	return nil
}

// Inspect refuses what Unpack would refuse by the zip's directory alone, without unpacking: the check of a deploy.
func Inspect(r io.ReaderAt, size int64, b Bounds) error {
	_, err := inspect(r, size, b.orDefault())
	return err
}

func inspect(r io.ReaderAt, size int64, b Bounds) (*zip.Reader, error) {
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, &casemate.Error{Code: casemate.Invalid, Message: "the code is not a zip that can be read", Hint: "pack it again", Err: err}
	}
	if !walls.Up {
		return z, nil
	}
	if len(z.File) > b.Entries {
		return nil, large("entries <= %d", int64(b.Entries))
	}
	seen := names{files: map[string]bool{}, folders: map[string]bool{}}
	var total uint64
	for _, f := range z.File {
		if err := checkEntry(f); err != nil {
			return nil, err
		}
		if err := seen.add(f.Name); err != nil {
			return nil, err
		}
		if len(seen.files)+len(seen.folders) > b.Entries {
			return nil, large("files and folders <= %d", int64(b.Entries))
		}
		total += min(f.UncompressedSize64, uint64(b.Total)+1)
		if total > uint64(b.Total) {
			return nil, large("unpacked bytes <= %d", b.Total)
		}
		if f.UncompressedSize64 > 1<<20 && f.UncompressedSize64/uint64(b.Ratio) > f.CompressedSize64 {
			return nil, large("unpacked bytes for a packed one <= %d", b.Ratio)
		}
	}
	if len(seen.files) == 0 {
		return nil, &casemate.Error{Code: casemate.Invalid, Message: "the code holds no file", Hint: "pack it again"}
	}
	return z, nil
}

// names are those of a zip so far: nothing stands twice, and nothing lies below a file.
type names struct{ files, folders map[string]bool }

func (n *names) add(entry string) error {
	name, folder := strings.CutSuffix(entry, "/")
	if n.files[name] || n.folders[name] && !folder {
		return refuse(entry, "stands twice in the zip")
	}
	if !folder {
		n.files[name] = true
	} else {
		n.folders[name] = true
	}
	for p := path.Dir(name); p != "."; p = path.Dir(p) {
		if n.files[p] {
			return refuse(entry, "lies below a file")
		}
		n.folders[p] = true
	}
	return nil
}

func checkEntry(f *zip.File) error {
	switch m := f.Mode(); {
	case m&fs.ModeSymlink != 0:
		return refuse(f.Name, "is a symbolic link")
	case !m.IsRegular() && !m.IsDir():
		return refuse(f.Name, "is neither a file nor a folder")
	case m.IsDir() != strings.HasSuffix(f.Name, "/"), m.IsDir() && f.UncompressedSize64 > 0:
		return refuse(f.Name, "is a folder and a file at once")
	case f.Flags&1 != 0:
		return refuse(f.Name, "is encrypted")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return refuse(f.Name, "is packed in an unknown way")
	}
	return checkName(f.Name)
}

// checkName is an allow-list: elements of 1 to 255 bytes, none of them dots alone, joined by slashes.
func checkName(name string) error {
	plain := strings.TrimSuffix(name, "/")
	if !utf8.ValidString(name) || len(name) > 1024 || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`) {
		return refuse(name, "has a name with characters that are not taken")
	}
	if len(plain) > 1 && plain[1] == ':' {
		return refuse(name, "names a drive")
	}
	parts := strings.Split(plain, "/")
	if len(parts) > 64 {
		return refuse(name, "lies too deep")
	}
	for _, p := range parts {
		if p == "" || p == "." || p == ".." || len(p) > 255 {
			return refuse(name, "has a path that is not plain")
		}
	}
	return nil
}

// write unpacks one entry, at most left bytes of it, whatever its header says.
func write(ctx context.Context, root *os.Root, f *zip.File, left int64) (int64, error) {
	name, folder := strings.CutSuffix(f.Name, "/")
	parent := name
	if !folder {
		parent = path.Dir(name)
	}
	if parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return 0, fmt.Errorf("making a folder of the code: %w", err)
		}
	}
	if folder {
		return 0, nil
	}
	mode := fs.FileMode(0o444)
	if f.Mode()&0o111 != 0 {
		mode = 0o555
	}
	in, err := f.Open()
	if err != nil {
		return 0, damaged(f.Name, err)
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, fmt.Errorf("writing a file of the code: %w", err)
	}
	n, err := io.Copy(out, io.LimitReader(patient{ctx, in}, left+1))
	if err == nil {
		err = out.Chmod(mode)
	}
	if cerr := out.Close(); err == nil && cerr != nil {
		return n, fmt.Errorf("writing a file of the code: %w", cerr)
	}
	switch {
	case n > left:
		return n, large("unpacked bytes of all files", 0)
	case errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat), errors.Is(err, io.ErrUnexpectedEOF):
		return n, damaged(f.Name, err)
	case err != nil:
		return n, fmt.Errorf("unpacking code: %w", err)
	}
	return n, nil
}

// openFolders lets the uid of any sandbox pass, whatever the node's umask was when they were made.
func openFolders(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return root.Chmod(name, 0o755)
	})
}

// patient stops reading when the context ends.
type patient struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (p patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}

func refuse(entry, why string) error {
	if len(entry) > 100 {
		entry = entry[:100]
	}
	return &casemate.Error{Code: casemate.Invalid, Field: strconv.Quote(entry), Message: "this entry of the zip " + why,
		Hint: "pack plain files and folders, relative to the root of the code"}
}

func damaged(entry string, err error) error {
	e := refuse(entry, "is damaged")
	return fmt.Errorf("%w: %w", e, err)
}

func large(rule string, limit int64) error {
	if strings.Contains(rule, "%") {
		rule = fmt.Sprintf(rule, limit)
	}
	return &casemate.Error{Code: casemate.TooLarge, Rule: rule, Message: "the zip holds more than is taken: " + rule,
		Hint: "leave out what the function does not need, with .casemateignore"}
}
