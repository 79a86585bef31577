package sandbox

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
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
	if err := os.MkdirAll(filepath.Join(dir, "node"), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(sdkDir, filepath.Join(dir, "node", "node_modules")); err != nil { // for NODE_PATH, which layers go by
		return err
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
		switch {
		case p == "node/index.js":
			b, err = bundle(root, b)
		case p == "node/rehearsal.js": // loaded as a function is
		case path.Dir(p) == "node":
			return nil // it is in the bundle
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return err
		}
		return os.Chmod(to, 0o444)
	})
}

// bundle puts the parts of Node's runtime into its first file: each further file costs a start half a millisecond.
func bundle(root fs.FS, index []byte) ([]byte, error) {
	names, err := fs.Glob(root, "node/*.js")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(`'use strict';
const parts = {};
const made = {};
const part = (name) => {
  if (!made[name]) parts[name](made[name] = { exports: {} });
  return made[name].exports;
};
`)
	for _, name := range names {
		if name == "node/index.js" || name == "node/rehearsal.js" {
			continue
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "parts['./%s'] = (module) => {\n%s};\n", path.Base(name), text)
	}
	b.Write(index)
	return bytes.ReplaceAll(b.Bytes(), []byte("require('./"), []byte("part('./")), nil
}
