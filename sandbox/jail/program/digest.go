package program

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// Identity is how the kernel tells a file from every other, and from itself before it was changed.
type Identity struct {
	Device, Inode uint64
	Size          int64
	Changed       int64 // nanoseconds, as the file system counts them: nobody can set it
}

// MismatchError is a file that is not the one that was asked for.
type MismatchError struct{ Path, Want, Got string }

// Error names both digests by their first characters.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("program %s has changed: it has digest %.12s..., allowed is %.12s...", e.Path, e.Got, e.Want)
}

// maxProgram is the largest file that is hashed, in bytes.
const maxProgram = 1 << 30

// Digests remembers what files hash to, so that a start does not read a program that a start before it has read. The zero
// value is ready. It is safe for concurrent use.
type Digests struct {
	mu    sync.Mutex
	known map[Identity]string
}

// settled is how old a change must be to be told from a later one: far more than any file system's clock tick.
const settled = 3 * time.Second

// maxKnown bounds the memory of Digests; beyond it, it starts anew.
const maxKnown = 1024

// Check looks whether a file of the host has a digest, in lower-case hex, and says which file that is. inside is its name
// in errors.
func (d *Digests) Check(inside, host, want string) (Identity, error) {
	f, err := os.Open(host)
	if err != nil {
		return Identity{}, fmt.Errorf("opening program %s: %w", inside, err)
	}
	defer f.Close()
	id, err := identity(f)
	if err != nil {
		return id, fmt.Errorf("program %s: %w", inside, err)
	}
	d.mu.Lock()
	got, ok := d.known[id]
	d.mu.Unlock()
	if !ok {
		if got, err = hash(f, id); err != nil {
			return id, fmt.Errorf("program %s: %w", inside, err)
		}
		if time.Since(time.Unix(0, id.Changed)) > settled { // else a change now could leave the same time stamp
			d.remember(id, got)
		}
	}
	if got != want || want == "" {
		return id, &MismatchError{inside, want, got}
	}
	return id, nil
}

func (d *Digests) remember(id Identity, digest string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= maxKnown {
		d.known = map[Identity]string{}
	}
	d.known[id] = digest
}

func identity(f *os.File) (Identity, error) {
	info, err := f.Stat()
	if err != nil {
		return Identity{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || st.Size > maxProgram {
		return Identity{}, errors.New("not a regular file of at most 1 GiB")
	}
	return Identity{st.Dev, st.Ino, st.Size, st.Ctim.Nano()}, nil
}

// hash reads the file, and fails when it was changed meanwhile.
func hash(f *os.File, before Identity) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, before.Size)); err != nil {
		return "", fmt.Errorf("hashing: %w", err)
	}
	after, err := identity(f)
	if err != nil {
		return "", err
	}
	if after != before {
		return "", errors.New("it was changed while it was hashed")
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
