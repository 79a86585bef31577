package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"casemate"
	"casemate/store/commit"
)

// Config says where a node keeps its state and within which bounds. A zero bound means its default.
type Config struct {
	Dir     string           // made with mode 0700 when missing; one node at a time
	Clock   func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: nothing is logged
	Lease   time.Duration    // of a queue's delivery; default DefaultLease
	Reserve int64            // bytes of the disk left free: writes are refused below; default 64 MiB
	Pending int              // bytes of one stream, bucket or queue held in memory until durable; default 16 MiB

	Free func(dir string) (int64, error) // bytes free on the disk of dir; nil: ask the kernel
}

// Node is the Store on an embedded NATS server with JetStream: streams, buckets and queues are journals of package
// commit, blobs are plain files. The caller closes it.
type Node struct {
	dir    string
	clock  func() time.Time
	lease  time.Duration
	host   *commit.Host
	mu     sync.Mutex
	kvs    map[string]*nodeKV
	queues map[string]*nodeQueue
}

// Open opens the node that lives in cfg.Dir. A folder that another node has open is refused with code Unavailable. What
// a killed node had acknowledged is recovered when its stream, bucket or queue is first asked for; one from which an
// acknowledged record is missing is refused then with a Fault that names the record.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Dir == "" {
		return nil, casemate.Errorf(casemate.Invalid, "name a folder of the node's own", "the store needs a folder")
	}
	cfg = withDefaults(cfg)
	host, err := commit.Open(ctx, commit.Config{
		Dir: cfg.Dir, Clock: cfg.Clock, Log: cfg.Log, Reserve: cfg.Reserve, Pending: cfg.Pending, Free: cfg.Free,
	})
	if err != nil {
		return nil, err
	}
	n := &Node{
		dir: cfg.Dir, clock: cfg.Clock, lease: cfg.Lease, host: host, kvs: map[string]*nodeKV{}, queues: map[string]*nodeQueue{},
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "blobs"), 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("making the store's folder: %w", err), host.Close())
	}
	if err := n.sweepBlobs(); err != nil {
		return nil, errors.Join(err, host.Close())
	}
	return n, nil
}

// sweepBlobs removes what a killed node had not finished storing.
func (n *Node) sweepBlobs() error {
	left, err := filepath.Glob(filepath.Join(n.dir, "blobs", "put-*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("removing unfinished blobs: %w", err)
	}
	return nil
}

func withDefaults(cfg Config) Config {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Lease <= 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.Reserve <= 0 {
		cfg.Reserve = 64 << 20
	}
	if cfg.Pending <= 0 {
		cfg.Pending = 16 << 20
	}
	if cfg.Free == nil {
		cfg.Free = commit.DiskFree
	}
	return cfg
}

// Close makes durable what was accepted, stops the engine and frees the folder. It waits for the node's goroutines.
func (n *Node) Close() error { return n.host.Close() }

// Room is Unavailable while less than the reserve is free on the disk: new work should not be begun. It is cheap.
func (n *Node) Room() error { return n.host.Room() }

// Stream gives the stream of that name; every call gives the same one.
func (n *Node) Stream(name string) (Stream, error) {
	if err := checkName("stream", name); err != nil {
		return nil, err
	}
	j, err := n.host.Journal("stream", name, nil, 0)
	if err != nil {
		return nil, err
	}
	return nodeStream{j}, nil
}

// KV gives the bucket of that name; every call gives the same one.
func (n *Node) KV(bucket string) (KV, error) {
	if err := checkName("bucket", bucket); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if kv := n.kvs[bucket]; kv != nil {
		return kv, nil
	}
	kv := &nodeKV{bucket: bucket, live: map[string]*kvItem{}, ahead: map[string]kvAhead{}}
	j, err := n.host.Journal("bucket", bucket, kv, 0)
	if err != nil {
		return nil, err
	}
	kv.j = j
	n.kvs[bucket] = kv
	return kv, nil
}

// Queue gives the queue of that name; every call gives the same one.
func (n *Node) Queue(name string) (Queue, error) {
	if err := checkName("queue", name); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if q := n.queues[name]; q != nil {
		return q, nil
	}
	q := newNodeQueue(name, n.clock, n.lease)
	j, err := n.host.Journal("queue", name, q, DedupWindow)
	if err != nil {
		return nil, err
	}
	q.j = j
	n.queues[name] = q
	return q, nil
}

// Blobs gives the node's blobs.
func (n *Node) Blobs() Blobs { return nodeBlobs{n} }
