package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"casemate"
	"casemate/store/commit"
)

// nodeBlobs keeps each blob in one file named by its digest. One node needs no more: JetStream's object store would cut
// the content into messages and give back nothing that a file system does not.
type nodeBlobs struct{ n *Node }

func (b nodeBlobs) path(digest string) string { return filepath.Join(b.n.dir, "blobs", digest) }

// Put streams r into a temporary file, fsyncs it, and only then gives it its name.
func (b nodeBlobs) Put(ctx context.Context, r io.Reader) (digest string, size int64, err error) {
	if err := firstError(ctx.Err(), b.n.host.Roomy()); err != nil {
		return "", 0, err
	}
	f, err := os.CreateTemp(filepath.Join(b.n.dir, "blobs"), "put-*")
	if err != nil {
		return "", 0, fmt.Errorf("storing blob: %w", err)
	}
	defer os.Remove(f.Name()) // finds nothing once the file has its name
	sum := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, sum), source{ctx, b.n.host, r})
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		var coded *casemate.Error
		if full := b.n.host.Roomy(); full != nil && !errors.As(err, &coded) {
			return "", 0, full
		}
		return "", 0, fmt.Errorf("storing blob: %w", err)
	}
	digest = hex.EncodeToString(sum.Sum(nil))
	if err := os.Rename(f.Name(), b.path(digest)); err != nil {
		return "", 0, fmt.Errorf("storing blob: %w", err)
	}
	return digest, size, b.syncDir()
}

// source ends a copy when its context does or the disk fills.
type source struct {
	ctx  context.Context
	host *commit.Host
	r    io.Reader
}

func (s source) Read(p []byte) (int, error) {
	if err := firstError(s.ctx.Err(), s.host.RoomFor(len(p))); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

func (b nodeBlobs) syncDir() error {
	d, err := os.Open(filepath.Join(b.n.dir, "blobs"))
	if err != nil {
		return fmt.Errorf("storing blob: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("storing blob: %w", err)
	}
	return nil
}

func (b nodeBlobs) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	f, err := os.Open(b.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noBlob(digest)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob: %w", err)
	}
	return &verified{File: f, sum: sha256.New(), digest: digest}, nil
}

// verified reads a blob and, at its end, refuses content that is not what was stored.
type verified struct {
	*os.File
	sum    hash.Hash
	digest string
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.File.Read(p)
	v.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(v.sum.Sum(nil)) != v.digest {
		return n, casemate.Errorf(casemate.Fault, "restore the node's folder from a backup or upload the content again",
			"blob %s is damaged", v.digest)
	}
	return n, err
}

func (b nodeBlobs) Has(_ context.Context, digest string) (bool, error) {
	if err := checkDigest(digest); err != nil {
		return false, err
	}
	_, err := os.Stat(b.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for blob: %w", err)
	}
	return true, nil
}

func (b nodeBlobs) Delete(_ context.Context, digest string) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	if err := os.Remove(b.path(digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting blob: %w", err)
	}
	return b.syncDir()
}
