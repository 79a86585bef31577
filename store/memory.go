package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"casemate"
)

// Memory is the specification of a Store: as simple as can be, nothing survives it. clock must not be nil.
func Memory(clock func() time.Time) Store {
	return &memory{
		clock: clock, kvs: map[string]*memoryKV{}, streams: map[string]*memoryStream{}, queues: map[string]*memoryQueue{},
		blobs: &memoryBlobs{content: map[string][]byte{}},
	}
}

type memory struct {
	clock   func() time.Time
	mu      sync.Mutex
	kvs     map[string]*memoryKV
	streams map[string]*memoryStream
	queues  map[string]*memoryQueue
	blobs   *memoryBlobs
}

func (m *memory) KV(bucket string) (KV, error) {
	return named(&m.mu, m.kvs, "bucket", bucket, func() *memoryKV {
		return &memoryKV{bucket: bucket, entries: map[string]Entry{}}
	})
}

func (m *memory) Stream(name string) (Stream, error) {
	return named(&m.mu, m.streams, "stream", name, func() *memoryStream {
		return &memoryStream{clock: m.clock, grown: make(chan struct{})}
	})
}

func (m *memory) Queue(name string) (Queue, error) {
	return named(&m.mu, m.queues, "queue", name, func() *memoryQueue {
		return &memoryQueue{name: name, clock: m.clock, seen: map[string]time.Time{}, changed: make(chan struct{})}
	})
}

func (m *memory) Blobs() Blobs { return m.blobs }

// named gives the one value of a name, made on first use.
func named[T any](mu *sync.Mutex, all map[string]*T, kind, name string, make func() *T) (*T, error) {
	if err := checkName(kind, name); err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	if all[name] == nil {
		all[name] = make()
	}
	return all[name], nil
}

type memoryKV struct {
	bucket   string
	mu       sync.Mutex
	revision uint64
	entries  map[string]Entry
}

func (k *memoryKV) Get(_ context.Context, key string) (Entry, error) {
	if err := checkKey(key); err != nil {
		return Entry{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[key]
	if !ok {
		return Entry{}, noKey(k.bucket, key)
	}
	e.Value = bytes.Clone(e.Value)
	return e, nil
}

func (k *memoryKV) Put(ctx context.Context, key string, value []byte, expect uint64) (uint64, error) {
	if err := firstError(ctx.Err(), checkKey(key), checkSize(len(key)+len(value))); err != nil {
		return 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := expected(k.bucket, key, k.entries[key].Revision, expect); err != nil {
		return 0, err
	}
	k.revision++
	k.entries[key] = Entry{Key: key, Value: bytes.Clone(value), Revision: k.revision}
	return k.revision, nil
}

func (k *memoryKV) Delete(ctx context.Context, key string, expect uint64) error {
	if err := firstError(ctx.Err(), checkKey(key)); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[key]
	if !ok {
		return noKey(k.bucket, key)
	}
	if err := expected(k.bucket, key, e.Revision, expect); err != nil {
		return err
	}
	k.revision++
	delete(k.entries, key)
	return nil
}

func (k *memoryKV) List(_ context.Context, prefix string) ([]Entry, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []Entry
	for _, key := range slices.Sorted(maps.Keys(k.entries)) {
		if strings.HasPrefix(key, prefix) {
			e := k.entries[key]
			e.Value = bytes.Clone(e.Value)
			out = append(out, e)
		}
	}
	return out, nil
}

type memoryStream struct {
	clock    func() time.Time
	mu       sync.Mutex
	messages []Message
	grown    chan struct{} // closed and replaced by every append
}

func (s *memoryStream) Append(ctx context.Context, data []byte, _ casemate.Wait) (uint64, error) {
	if err := firstError(ctx.Err(), checkSize(len(data))); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seq := uint64(len(s.messages)) + 1
	s.messages = append(s.messages, Message{Seq: seq, At: s.clock(), Data: bytes.Clone(data)})
	close(s.grown)
	s.grown = make(chan struct{})
	return seq, nil
}

func (s *memoryStream) Read(ctx context.Context, from uint64, max int) ([]Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	at := from
	if at == 0 {
		at = 1
	}
	for ; at <= uint64(len(s.messages)) && len(out) < max; at++ {
		m := s.messages[at-1]
		m.Data = bytes.Clone(m.Data)
		out = append(out, m)
	}
	return out, ctx.Err()
}

func (s *memoryStream) Last(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.messages)), ctx.Err()
}

func (s *memoryStream) Wait(ctx context.Context, from uint64) error {
	for {
		s.mu.Lock()
		last, grown := uint64(len(s.messages)), s.grown
		s.mu.Unlock()
		if last >= from {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type memoryBlobs struct {
	mu      sync.Mutex
	content map[string][]byte
}

func (b *memoryBlobs) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	data, err := io.ReadAll(r)
	if err := firstError(err, ctx.Err()); err != nil {
		return "", 0, fmt.Errorf("reading blob content: %w", err)
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	b.mu.Lock()
	defer b.mu.Unlock()
	b.content[digest] = data
	return digest, int64(len(data)), nil
}

func (b *memoryBlobs) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.content[digest]
	if !ok {
		return nil, noBlob(digest)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (b *memoryBlobs) Has(_ context.Context, digest string) (bool, error) {
	if err := checkDigest(digest); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.content[digest]
	return ok, nil
}

func (b *memoryBlobs) Delete(_ context.Context, digest string) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.content, digest)
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
