package intake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// startJetStream is plain JetStream as durable as it gets: an fsync for every message, published one by one.
func startJetStream(ctx context.Context, dir string) (writer, func() error, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "floor", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir, SyncAlways: true, DisableJetStreamBanner: true, JetStreamMaxStore: 1 << 62,
	})
	if err != nil {
		return nil, nil, err
	}
	s.Start()
	stop := func() error {
		s.Shutdown()
		s.WaitForShutdown()
		return nil
	}
	if !s.ReadyForConnections(time.Minute) {
		return nil, nil, errors.Join(errors.New("the floor's server did not start"), stop())
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	js, err := jetstream.New(conn)
	if err == nil {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "FLOOR", Subjects: []string{"floor"}, Storage: jetstream.FileStorage})
	}
	if err != nil {
		conn.Close()
		return nil, nil, errors.Join(err, stop())
	}
	write := func(ctx context.Context, id string, data []byte) error {
		_, err := js.PublishMsg(ctx, &nats.Msg{Subject: "floor", Data: data}, jetstream.WithMsgID(id))
		return err
	}
	return write, func() error { conn.Close(); return stop() }, nil
}

// startRaw is the least that a durable intake can do: one goroutine appends whatever has arrived, checksummed, and
// fsyncs once for all of it.
func startRaw(_ context.Context, dir string) (writer, func() error, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(dir+"/log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	r := &raw{file: f, wake: make(chan struct{}, 1), quit: make(chan struct{}), open: newRawBatch()}
	r.done.Go(r.run)
	return r.write, r.stop, nil
}

type raw struct {
	file *os.File
	wake chan struct{}
	quit chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	open *rawBatch
}

type rawBatch struct {
	buf   []byte
	count int
	done  chan struct{}
	err   error
}

func newRawBatch() *rawBatch { return &rawBatch{done: make(chan struct{})} }

func (r *raw) write(ctx context.Context, id string, data []byte) error {
	r.mu.Lock()
	b := r.open
	start := len(b.buf)
	b.buf = binary.LittleEndian.AppendUint32(b.buf, 0)
	b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(len(id)+len(data)))
	b.buf = append(append(b.buf, id...), data...)
	binary.LittleEndian.PutUint32(b.buf[start:], crc32.Checksum(b.buf[start+4:], crc32.MakeTable(crc32.Castagnoli)))
	b.count++
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *raw) run() {
	for {
		select {
		case <-r.wake:
		case <-r.quit:
			return
		}
		r.mu.Lock()
		b := r.open
		r.open = newRawBatch()
		r.mu.Unlock()
		if b.count > 0 {
			_, err := r.file.Write(b.buf)
			b.err = errors.Join(err, r.file.Sync())
		}
		close(b.done)
	}
}

func (r *raw) stop() error {
	close(r.quit)
	r.done.Wait()
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("closing the raw floor: %w", err)
	}
	return nil
}
