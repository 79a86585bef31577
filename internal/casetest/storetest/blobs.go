package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"

	"casemate"
	"casemate/store"
)

func runBlobs(t *testing.T, m Maker) {
	ctx := context.Background()
	s := m.Open(t, NewClock().Now)
	content := bytes.Repeat([]byte("casemate "), 100_000)
	sum := sha256.Sum256(content)
	want := hex.EncodeToString(sum[:])
	has := func(digest string, want bool) {
		t.Helper()
		if got, err := s.Blobs().Has(ctx, digest); err != nil || got != want {
			t.Fatalf("has: %v %v, want %v", got, err, want)
		}
	}
	has(want, false)
	_, err := s.Blobs().Open(ctx, want)
	wantCode(t, "open of a missing blob", err, casemate.NotFound)
	for range 2 {
		digest, n, err := s.Blobs().Put(ctx, bytes.NewReader(content))
		if err != nil || digest != want || n != int64(len(content)) {
			t.Fatalf("put: %s %d %v", digest, n, err)
		}
	}
	if _, _, err := s.Blobs().Put(ctx, io.MultiReader(strings.NewReader("half"), broken{})); err == nil {
		t.Fatal("a broken reader was stored")
	}
	if m.Reopen != nil {
		s = m.Reopen(t, s)
	}
	has(want, true)
	r, err := s.Blobs().Open(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, content) || r.Close() != nil {
		t.Fatalf("read %d bytes: %v", len(got), err)
	}
	if err := s.Blobs().Delete(ctx, want); err != nil {
		t.Fatal(err)
	}
	has(want, false)
	for _, bad := range []string{"", "../../etc/passwd", strings.ToUpper(want), want[:63], want + "0"} {
		_, err := s.Blobs().Open(ctx, bad)
		wantCode(t, "open of "+bad, err, casemate.Invalid)
		_, err = s.Blobs().Has(ctx, bad)
		wantCode(t, "has of "+bad, err, casemate.Invalid)
		wantCode(t, "delete of "+bad, s.Blobs().Delete(ctx, bad), casemate.Invalid)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// runNames: odd names work and stay apart, impossible ones are refused.
func runNames(t *testing.T, m Maker) {
	ctx := context.Background()
	s := m.Open(t, NewClock().Now)
	names := []string{"a", "A", "a.b", "a b", "a/b", "é", "*", ">", "..", strings.Repeat("n", store.MaxName)}
	for i, name := range names {
		kv, err := s.KV(name)
		if err != nil {
			t.Fatalf("bucket %q: %v", name, err)
		}
		if _, err := kv.Put(ctx, "k", []byte{byte(i)}, store.NewKey); err != nil {
			t.Fatalf("bucket %q: %v", name, err)
		}
	}
	for i, name := range names {
		kv, err := s.KV(name)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := kv.Get(ctx, "k"); err != nil || e.Value[0] != byte(i) {
			t.Fatalf("bucket %q: %v %v", name, e, err)
		}
	}
	for _, name := range []string{"", "\xff", strings.Repeat("n", store.MaxName+1), "a\x00b"} {
		_, err := s.KV(name)
		wantCode(t, "bucket", err, casemate.Invalid)
		_, err = s.Stream(name)
		wantCode(t, "stream", err, casemate.Invalid)
		_, err = s.Queue(name)
		wantCode(t, "queue", err, casemate.Invalid)
	}
	kv, err := s.KV("keys")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", "\xff", strings.Repeat("k", store.MaxKey+1)} {
		_, err := kv.Put(ctx, key, nil, store.AnyRevision)
		wantCode(t, "key", err, casemate.Invalid)
	}
}
