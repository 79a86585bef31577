package code

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// naive unpacks a zip as careless programs do: it believes names and follows links. It takes Unpack's place in a build
// without walls (package walls), where the attacks by archives have to work.
func naive(z *zip.Reader, dir string) error {
	for _, f := range z.File {
		to := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		in, err := f.Open()
		if err != nil {
			return err
		}
		content, err := io.ReadAll(in)
		in.Close()
		if err == nil && f.Mode()&fs.ModeSymlink != 0 {
			err = os.Symlink(string(content), to)
		} else if err == nil {
			err = os.WriteFile(to, content, f.Mode().Perm()|0o444)
		}
		if err != nil {
			return fmt.Errorf("unpacking %s: %w", f.Name, err)
		}
	}
	return nil
}
