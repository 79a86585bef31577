package main

import (
	"time"

	"github.com/spf13/pflag"

	"casemate"
	front "casemate/front/http"
	"casemate/node"
	"casemate/quota"
)

// connFlags are the words of `casemate up` about connections.
type connFlags struct {
	all, source, network                     int
	opened, resets, idle                     string
	headerTime, bodyTime, answerTime, unused time.Duration
	slowest, streams, sourceStreams          int
	answerRate, answerBurst                  int64
}

func (f *connFlags) add(fl *pflag.FlagSet) {
	fl.IntVar(&f.all, "connections", 4096, "connections open at once, of each of the listeners for HTTP, AWS's services and the admin API")
	fl.IntVar(&f.source, "source-connections", 1024, "likewise of one source address (IPv6: a /64)")
	fl.IntVar(&f.network, "network-connections", 0, "likewise of the IPv4 /24 or IPv6 /48 around it; 0: half of --connections")
	fl.StringVar(&f.opened, "connection-rate", "500/s burst 2000", "new connections of one source address")
	fl.StringVar(&f.resets, "stream-resets", "10/s burst 200", "HTTP/2 streams of a connection that end without an answer, beyond as many that are answered")
	fl.StringVar(&f.idle, "idle-frames", "200/s burst 2000", "HTTP/2 frames of a connection that ask for nothing, beyond what its answers call for")
	fl.IntVar(&f.streams, "streams", 64, "HTTP/2 streams of a connection at once")
	fl.IntVar(&f.sourceStreams, "source-streams", 2048, "HTTP/2 streams of one source address at once; eight times as many of all")
	fl.DurationVar(&f.headerTime, "header-time", 5*time.Second, "time for a TLS handshake, and for the headers of a request")
	fl.DurationVar(&f.bodyTime, "body-time", 20*time.Second, "time for a body, besides what --slowest gives it")
	fl.DurationVar(&f.answerTime, "answer-time", 20*time.Second, "time for taking an answer, besides what --slowest gives it")
	fl.DurationVar(&f.unused, "idle-time", time.Minute, "time between the requests of a connection")
	fl.IntVar(&f.slowest, "slowest", 32<<10, "bytes a second that who sends a body or takes an answer must keep up with")
	fl.Int64Var(&f.answerRate, "answer-rate", 2<<20, "bytes a second at which a streamed answer leaves, once --answer-burst has")
	fl.Int64Var(&f.answerBurst, "answer-burst", 6<<20, "bytes of a streamed answer that leave at once")
	for _, name := range []string{"connections", "source-connections", "streams", "source-streams", "slowest"} {
		within(fl, name, 1, most)
	}
	within(fl, "network-connections", 0, most)
	for _, name := range []string{"answer-rate", "answer-burst"} {
		within[int64](fl, name, 1, most)
	}
	for _, name := range []string{"header-time", "body-time", "answer-time", "idle-time"} {
		within(fl, name, 1, longest)
	}
}

// read checks what add could not; no flag has a silent fallback.
func (f *connFlags) read(cfg *node.Config) (err error) {
	l := front.Limits{HeaderTime: f.headerTime, BodyTime: f.bodyTime, WriteTime: f.answerTime, IdleTime: f.unused, Slowest: f.slowest, ConcurrentHTTP: f.streams}
	l.Conn.Total, l.Conn.Source, l.Conn.Block, l.Conn.HeaderTime, l.Conn.FrameTime = f.all, f.source, f.network, f.headerTime, f.bodyTime
	l.Conn.SourceStreams, l.Conn.Streams = f.sourceStreams, 8*f.sourceStreams
	for _, r := range []struct {
		flag, text string
		to         *casemate.Rate
	}{{"connection-rate", f.opened, &l.Conn.Rate}, {"stream-resets", f.resets, &l.Conn.Resets}, {"idle-frames", f.idle, &l.Conn.Idle}} {
		if *r.to, err = quota.ParseRate(r.text); err != nil {
			return badFlag(r.flag, err.Error(), `"500/s burst 2000"`)
		}
	}
	cfg.Front, cfg.AnswerRate, cfg.AnswerBurst = l, f.answerRate, f.answerBurst
	return nil
}
