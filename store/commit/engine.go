package commit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// engine is one run of the embedded NATS server with its in-process connection. It opens no port and hears no signal.
type engine struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
}

const (
	engineStart = 60 * time.Second // recovering a large folder takes a while
	askTimeout  = 30 * time.Second
)

// startEngine starts JetStream in dir with an fsync for every message before it is acknowledged: its default flushes
// every two minutes and loses acknowledged messages in a power cut.
func startEngine(dir string, log *slog.Logger) (*engine, error) {
	if err := probe(dir); err != nil {
		return nil, err
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "casemate", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir, SyncAlways: true, DisableJetStreamBanner: true,
		JetStreamMaxMemory: 16 << 20, JetStreamMaxStore: 1 << 62, // the disk's end is watched by space
		MaxPayload: maxFrame + 1<<16, // a block is one message, and only our own connection exists
	})
	if err != nil {
		return nil, fmt.Errorf("starting the embedded engine: %w", err)
	}
	s.SetLoggerV2(engineLog{log}, false, false, false)
	s.Start()
	e := &engine{server: s}
	if !s.ReadyForConnections(engineStart) || !s.JetStreamEnabled() {
		e.stop()
		return nil, errors.New("starting the embedded engine: JetStream did not come up")
	}
	e.conn, err = nats.Connect("", nats.InProcessServer(s), nats.Name("store"), nats.MaxReconnects(0))
	if err == nil {
		e.js, err = jetstream.New(e.conn, jetstream.WithDefaultTimeout(askTimeout))
	}
	if err != nil {
		e.stop()
		return nil, fmt.Errorf("connecting to the embedded engine: %w", err)
	}
	return e, nil
}

// well tells whether the engine still serves: a full disk makes it give up JetStream for good.
func (e *engine) well() bool { return e.server.JetStreamEnabled() && e.conn.IsConnected() }

func (e *engine) stop() {
	if e.conn != nil {
		e.conn.Close()
	}
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// fetch asks for up to batch messages of a stream from one sequence on and gives their payloads in order. It ends early
// after about size bytes; an empty answer means that there are none. errForm is a stored message that cannot be read.
func (e *engine) fetch(ctx context.Context, stream string, from uint64, batch, size int, visit func(seq uint64, data []byte) error) error {
	sub, err := e.conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		return fmt.Errorf("reading %s: %w", stream, err)
	}
	defer sub.Unsubscribe()
	req, err := json.Marshal(map[string]any{"seq": from, "batch": batch, "max_bytes": size})
	if err == nil {
		err = e.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, sub.Subject, req)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", stream, err)
	}
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("reading %s: %w", stream, err)
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
		case "204", "404":
			return nil
		default:
			return fmt.Errorf("reading %s: status %s %s", stream, status, msg.Header.Get("Description"))
		}
		var seq uint64
		if _, err := fmt.Sscan(msg.Header.Get("Nats-Sequence"), &seq); err != nil {
			return fmt.Errorf("reading %s: no sequence: %w", stream, errForm) // the length of stored headers is in no checksum
		}
		if err := visit(seq, msg.Data); err != nil {
			return err
		}
	}
}

// engineLog hands the server's errors and warnings to our log. Its chatter is dropped, and so is its advice on MaxPayload,
// which is for connections of others.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Noticef(string, ...any) {}
func (l engineLog) Debugf(string, ...any)  {}
func (l engineLog) Tracef(string, ...any)  {}
func (l engineLog) Warnf(format string, v ...any) {
	if strings.HasPrefix(format, "Maximum payloads over") {
		return
	}
	l.log.Warn(fmt.Sprintf(format, v...), "from", "engine")
}
func (l engineLog) Errorf(format string, v ...any) {
	l.log.Error(fmt.Sprintf(format, v...), "from", "engine")
}
func (l engineLog) Fatalf(format string, v ...any) {
	l.log.Error(fmt.Sprintf(format, v...), "from", "engine")
}
