package sandbox

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// bootstraps are the runtimes' own halves: what the interpreter runs, which loads and calls the function.
//
//go:embed bootstrap/node/*.js bootstrap/python/*.py
var bootstraps embed.FS

// unpackBootstraps writes them under dir, readable by every uid that a jail may run as: they hold no secret.
func unpackBootstraps(dir string) error {
	root, err := fs.Sub(bootstraps, "bootstrap")
	if err != nil {
		return fmt.Errorf("reading the embedded bootstraps: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clearing the bootstraps: %w", err)
	}
	return fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(p))
		if d.IsDir() {
			if err := os.MkdirAll(to, 0o755); err != nil {
				return err
			}
			return os.Chmod(to, 0o755) // whatever the umask
		}
		b, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return err
		}
		return os.Chmod(to, 0o444)
	})
}
