// Package kek reads, makes and renews key-encryption keys: the keys that open every other one, and so the only ones that
// ever lie somewhere in clear. A handle says where: a file that only its owner reads, a variable that is wiped once it was
// read, an inherited descriptor, or the node's own folder.
package kek

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"casemate"
)

// Own is the handle of the key-encryption key that a node makes for itself, in its own folder.
const Own = "node"

// maxKeyFile bounds what is read of a key: a keyset of one key has some 300 bytes.
const maxKeyFile = 64 << 10

// Key is a key-encryption key. It may be a keyset of several keys while it is being renewed: all of them open, the one
// called Name wraps.
type Key struct {
	Handle string // where it came from: Own, "file:/path", "env:NAME", "fd:3"
	Name   string
	AEAD   tink.AEAD
	keys   *keyset.Handle
}

func newKey(handle string, keys *keyset.Handle) (*Key, error) {
	primary, err := keys.Primary()
	if err != nil {
		return nil, err
	}
	a, err := aead.New(keys)
	if err != nil {
		return nil, err
	}
	return &Key{Handle: handle, Name: Name(primary.KeyID()), keys: keys, AEAD: a}, nil
}

// Name is how a key is called in errors, lists and the store. It says nothing about the key.
func Name(id uint32) string { return fmt.Sprintf("%08x", id) }

// Has reports whether a key of this name is in k.
func (k *Key) Has(name string) bool {
	for i := range k.keys.Len() {
		if e, err := k.keys.Entry(i); err == nil && Name(e.KeyID()) == name {
			return true
		}
	}
	return false
}

// Renewed reports whether older keys are still in k.
func (k *Key) Renewed() bool { return k.keys.Len() > 1 }

// New makes a keyset of one key. XChaCha20-Poly1305: its nonces are random and too long ever to meet twice.
func New() (*keyset.Handle, error) { return keyset.NewHandle(aead.XChaCha20Poly1305KeyTemplate()) }

// Generate makes a key-encryption key and writes it to a new file that only its owner reads. An existing file is an error.
func Generate(path string) (name string, err error) {
	keys, err := New()
	if err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	m, err := newKey("file:"+path, keys)
	if err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	return m.Name, m.write(path, os.O_EXCL)
}

// Write replaces a file by k, in one step: a crash leaves the old one or the new one.
func (k *Key) Write(path string) error { return k.write(path, 0) }

// write puts the keyset in clear into a file: the one place where a key lies open. O_EXCL refuses a file that is there.
func (k *Key) write(path string, flag int) (err error) {
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(k.keys, keyset.NewJSONWriter(&text)); err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	defer clear(text.Bytes())
	at := path
	if flag&os.O_EXCL == 0 {
		at = path + ".new"
		if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	_, err = f.Write(text.Bytes())
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil && at != path {
		err = os.Rename(at, path)
	}
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Read gets a key by its handle. A handle names where the key is, and is no secret itself. An error is an *casemate.Error
// of code Invalid that says what to do and nothing about the key.
func Read(handle string) (*Key, error) {
	text, err := handleBytes(handle)
	if err != nil {
		return nil, refused(handle, err)
	}
	defer clear(text)
	return parse(handle, text)
}

// ReadOwn gets the node's own key from its file. One that is not there is os.ErrNotExist.
func ReadOwn(path string) (*Key, error) {
	text, err := keyFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, refused("file:"+path, err)
	}
	defer clear(text)
	return parse(Own, text)
}

// parse reads a keyset in clear: Tink's JSON, or that in base64.
func parse(handle string, text []byte) (*Key, error) {
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[0] != '{' {
		raw, err := base64.StdEncoding.AppendDecode(nil, text)
		if err != nil {
			return nil, refused(handle, errors.New("it is neither a keyset nor the base64 of one"))
		}
		defer clear(raw)
		text = raw
	}
	keys, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil { // what the parser says may quote the key
		return nil, refused(handle, errors.New("it is no keyset"))
	}
	m, err := newKey(handle, keys)
	if err != nil {
		return nil, refused(handle, errors.New("its keys are not for sealing"))
	}
	return m, nil
}

func refused(handle string, err error) error {
	return &casemate.Error{Code: casemate.Invalid, Field: "--secret-key", Err: err,
		Message: fmt.Sprintf("the key-encryption key %s cannot be used: %v", handle, err),
		Hint:    "casemate secret keygen FILE makes one; give it as file:/path (mode 0600, yours), env:NAME or fd:N"}
}

func handleBytes(handle string) ([]byte, error) {
	kind, name, _ := strings.Cut(handle, ":")
	switch {
	case kind == "file" && filepath.IsAbs(name):
		return keyFile(name)
	case kind == "env" && name != "":
		return keyVariable(name)
	case kind == "fd":
		n, err := strconv.ParseUint(name, 10, 16)
		if err != nil || n < 3 {
			return nil, errors.New("a descriptor is a number from 3 on")
		}
		f := os.NewFile(uintptr(n), handle)
		if f == nil {
			return nil, errors.New("there is no such descriptor")
		}
		defer f.Close()
		return bounded(f)
	}
	return nil, errors.New("it is none of file:/absolute/path, env:NAME and fd:N")
}

// keyFile refuses a file that anybody else could have read or written.
func keyFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("its mode is %04o: others may read or write it", info.Mode().Perm())
	case !ok || int(owner.Uid) != os.Geteuid():
		return nil, errors.New("it belongs to somebody else")
	}
	return bounded(f)
}

// keyVariable reads a variable and takes it out of the environment, the kernel's copy in /proc/self/environ included.
func keyVariable(name string) ([]byte, error) {
	value, ok := os.LookupEnv(name)
	if !ok || value == "" {
		return nil, errors.New("the variable is not set")
	}
	if err := errors.Join(os.Unsetenv(name), wipeVariable(name)); err != nil {
		return nil, fmt.Errorf("it cannot be wiped from the environment, use file: or fd: (%w)", err)
	}
	return []byte(value), nil
}

func bounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxKeyFile:
		return nil, errors.New("it is too long for a key")
	case len(b) == 0:
		return nil, errors.New("it is empty")
	}
	return b, nil
}

// Renew gives k with a new key that wraps from now on; the ones before still open.
func (k *Key) Renew() (*Key, error) {
	keys, err := Renew(k.keys)
	if err != nil {
		return nil, err
	}
	return newKey(k.Handle, keys)
}

// Settle gives k without its older keys.
func (k *Key) Settle() (*Key, error) {
	keys, err := Settle(k.keys)
	if err != nil {
		return nil, err
	}
	return newKey(k.Handle, keys)
}

// Renew adds a key to a keyset and makes it the primary one.
func Renew(keys *keyset.Handle) (*keyset.Handle, error) {
	m := keyset.NewManagerFromHandle(keys)
	id, err := m.Add(aead.XChaCha20Poly1305KeyTemplate())
	if err == nil {
		err = m.SetPrimary(id)
	}
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return m.Handle()
}

// Settle drops every key of a keyset but the primary one.
func Settle(keys *keyset.Handle) (*keyset.Handle, error) {
	m := keyset.NewManagerFromHandle(keys)
	for i := range keys.Len() {
		e, err := keys.Entry(i)
		if err == nil && !e.IsPrimary() {
			err = m.Delete(e.KeyID())
		}
		if err != nil {
			return nil, fmt.Errorf("retiring a key: %w", err)
		}
	}
	return m.Handle()
}
