// Package dev is what a developer's loop is made of: it watches a folder, says what changed once an editor is done with it,
// reads what checkers of scripts complain about, and prints what happens as one stream. It builds and deploys nothing.
package dev

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"casemate"
)

// The bounds of what is watched.
const (
	MaxFolders = 2_000
	MaxFiles   = 50_000
)

// stamp tells one content of a file from another, without reading it.
type stamp struct {
	size  int64
	mode  fs.FileMode
	inode any // os.FileInfo; a file that an editor renamed into the place is another one
	mod   time.Time
}

// Tree is a folder at one moment: the files in it, slash-separated paths below the folder, and its folders.
type Tree struct {
	root    string
	files   map[string]stamp
	folders []string
}

// Scan looks at the folder root. It leaves out .git, .casemate, the folders and files in skip (absolute), Python's caches, editors'
// temporary files, logs, and of node_modules everything but the list that npm writes at the end of each installation.
func Scan(root string, skip ...string) (*Tree, error) {
	t := &Tree{root: root, files: map[string]stamp{}}
	err := filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			if at != root {
				return nil // gone while it was looked at
			}
			return err
		}
		name := e.Name()
		if e.IsDir() {
			if at != root && (ignoredFolder(name) || slices.Contains(skip, at)) {
				return fs.SkipDir
			}
			if t.folders = append(t.folders, at); len(t.folders) > MaxFolders {
				return tooLarge(root, MaxFolders, "folders")
			}
			if name == "node_modules" {
				t.add(filepath.Join(at, ".package-lock.json"))
				return fs.SkipDir
			}
			return nil
		}
		if !temporary(name) && !slices.Contains(skip, at) {
			t.add(at)
		}
		if len(t.files) > MaxFiles {
			return tooLarge(root, MaxFiles, "files")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", root, err)
	}
	return t, nil
}

func tooLarge(root string, n int, what string) error {
	return casemate.Errorf(casemate.Invalid, "name the folder of one app", "%s has more than %d %s to watch", root, n, what)
}

func (t *Tree) add(at string) {
	info, err := os.Stat(at)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	rel, err := filepath.Rel(t.root, at)
	if err == nil {
		t.files[filepath.ToSlash(rel)] = stamp{info.Size(), info.Mode(), info, info.ModTime()}
	}
}

// Since lists, sorted, the files that are new, other or gone when t is compared with an earlier look. All of a nil one.
func (t *Tree) Since(before *Tree) []string {
	var changed []string
	if before == nil {
		before = &Tree{}
	}
	for p, s := range t.files {
		if old, ok := before.files[p]; !ok || !s.same(old) {
			changed = append(changed, p)
		}
	}
	for p := range before.files {
		if _, ok := t.files[p]; !ok {
			changed = append(changed, p)
		}
	}
	slices.Sort(changed)
	return changed
}

func (s stamp) same(o stamp) bool {
	a, _ := s.inode.(fs.FileInfo)
	b, _ := o.inode.(fs.FileInfo)
	return s.size == o.size && s.mode == o.mode && s.mod.Equal(o.mod) && os.SameFile(a, b)
}

func ignoredFolder(name string) bool {
	return slices.Contains([]string{".git", ".hg", ".svn", ".casemate", ".aws-sam", "__pycache__", ".idea", ".vscode", ".venv", ".mypy_cache", ".pytest_cache"}, name)
}

// temporary are the files that editors keep beside the ones that are edited: vim, Emacs, JetBrains, GNOME, and sed -i. And logs: one
// that takes down what the loop says would have it go round for ever.
func temporary(name string) bool {
	for _, end := range []string{"~", ".swp", ".swo", ".swx", ".tmp", "___jb_tmp___", "___jb_old___", ".pyc", ".log"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return name == "4913" || strings.HasPrefix(name, ".#") || strings.HasPrefix(name, "#") || strings.HasPrefix(name, ".goutputstream-") ||
		len(name) == 9 && strings.HasPrefix(name, "sed") && !strings.Contains(name, ".")
}
