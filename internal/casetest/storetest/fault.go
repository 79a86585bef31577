package storetest

import (
	"context"
	"errors"
	"io"

	"casemate/store"
)

// FailAt is s whose write (of a key or a blob) is refused when *left counts down to zero: 1 fails the next one alone. It is not safe
// for concurrent use.
func FailAt(s store.Store, left *int) store.Store { return failing{s, left} }

var errFull = errors.New("disk full")

type failing struct {
	store.Store
	left *int
}

func (f failing) KV(name string) (store.KV, error) {
	kv, err := f.Store.KV(name)
	return failingKV{kv, f.left}, err
}

func (f failing) Blobs() store.Blobs { return failingBlobs{f.Store.Blobs(), f.left} }

type failingKV struct {
	store.KV
	left *int
}

func (f failingKV) Put(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if *f.left--; *f.left == 0 {
		return 0, errFull
	}
	return f.KV.Put(ctx, key, value, expect)
}

type failingBlobs struct {
	store.Blobs
	left *int
}

func (f failingBlobs) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	if *f.left--; *f.left == 0 {
		return "", 0, errFull
	}
	return f.Blobs.Put(ctx, r)
}
