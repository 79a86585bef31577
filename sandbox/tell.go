package sandbox

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"syscall"
	"time"

	"casemate"
	"casemate/lambda"
	"casemate/sandbox/first"
)

// The records of the Telemetry API, schema 2022-12-13
// (https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html). They are made only where an extension
// can have subscribed.

const onDemand = "on-demand"

type metrics struct {
	Duration float64  `json:"durationMs"`
	Billed   *int64   `json:"billedDurationMs,omitempty"`
	Memory   int      `json:"memorySizeMB,omitempty"`
	Used     int64    `json:"maxMemoryUsedMB,omitempty"`
	Init     *float64 `json:"initDurationMs,omitempty"`
	Produced *int     `json:"producedBytes,omitempty"`
}

type tracing struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type initRecord struct {
	Type     string   `json:"initializationType"`
	Phase    string   `json:"phase"`
	Function string   `json:"functionName,omitempty"`
	Version  string   `json:"functionVersion,omitempty"`
	Status   string   `json:"status,omitempty"`
	Metrics  *metrics `json:"metrics,omitempty"`
}

type invokeRecord struct {
	Request   string   `json:"requestId"`
	Version   string   `json:"version,omitempty"`
	Status    string   `json:"status,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Metrics   *metrics `json:"metrics,omitempty"`
	Tracing   *tracing `json:"tracing,omitempty"`
}

// milliseconds with two decimals, as AWS writes durations.
func milliseconds(d time.Duration) float64 { return math.Round(d.Seconds()*100_000) / 100 }

func (i *instance) tellStart() {
	i.api.Tell("platform.initStart", func() any {
		return initRecord{Type: onDemand, Phase: "init", Function: i.version.Function, Version: i.version.Name()}
	})
}

// tellReady says that the initialisation is over; fail is nil when it succeeded.
func (i *instance) tellReady(took time.Duration, fail *failure) {
	status := "success"
	if fail != nil {
		status = statusOf(fail.kind)
	}
	i.api.Tell("platform.initRuntimeDone", func() any { return initRecord{Type: onDemand, Phase: "init", Status: status} })
	i.api.Tell("platform.initReport", func() any {
		return initRecord{Type: onDemand, Phase: "init", Status: status, Metrics: &metrics{Duration: milliseconds(took)}}
	})
}

func (r *run) tracing() *tracing {
	t := r.launch.Trace
	if header := lambda.TraceHeader(t.TraceID, t.SpanID, t.Sampled); header != "" {
		return &tracing{"X-Amzn-Trace-Id", header}
	}
	return nil
}

func (r *run) tellBegin() {
	r.inst.api.Tell("platform.start", func() any {
		return invokeRecord{Request: r.launch.RequestID, Version: r.launch.Version.Name(), Tracing: r.tracing()}
	})
}

// tellDone says that the runtime has answered, or has not.
func (r *run) tellDone(res *casemate.Result, took time.Duration) {
	r.inst.api.Tell("platform.runtimeDone", func() any {
		produced := len(res.Payload)
		return invokeRecord{Request: r.launch.RequestID, Status: statusOf(res.Failure), Tracing: r.tracing(),
			Metrics: &metrics{Duration: milliseconds(took), Produced: &produced}}
	})
}

// tellReport is the REPORT line as a record.
func (r *run) tellReport(res *casemate.Result, took time.Duration) {
	r.inst.api.Tell("platform.end", func() any { return invokeRecord{Request: r.launch.RequestID} })
	r.inst.api.Tell("platform.report", func() any {
		billed := int64(math.Ceil(float64(took) / float64(time.Millisecond)))
		m := &metrics{Duration: milliseconds(took), Billed: &billed, Memory: r.limits.MemoryMB, Used: (res.Usage.PeakBytes + 1<<20 - 1) >> 20}
		if r.cold {
			took := milliseconds(res.Usage.Init)
			m.Init = &took
		}
		return invokeRecord{Request: r.launch.RequestID, Status: statusOf(res.Failure), Metrics: m, Tracing: r.tracing()}
	})
}

// dial connects to a port of the sandbox's loopback: the first process makes the connection and hands it over, so that no
// route leads from the node into a sandbox.
func (b *beside) dial(ctx context.Context, port int) (net.Conn, error) {
	ch := make(chan dialled, 1)
	b.mu.Lock()
	for b.dials[b.next] != nil {
		if b.next++; len(b.dials) > maxDials {
			b.mu.Unlock()
			return nil, fmt.Errorf("more than %d connections are being made into the sandbox", maxDials)
		}
	}
	number := b.next
	b.next++
	b.dials[number] = ch
	b.mu.Unlock()
	b.tell(first.Message{Kind: first.Connect, Number: number, Value: uint32(port)})
	select {
	case d := <-ch:
		if d.err != nil {
			return nil, d.err
		}
		return adopted(d.fd)
	case <-ctx.Done():
	}
	b.mu.Lock()
	delete(b.dials, number)
	b.mu.Unlock()
	select {
	case d := <-ch:
		if d.err == nil {
			syscall.Close(d.fd)
		}
	default:
	}
	return nil, ctx.Err()
}

// maxDials bounds the connections that are being made at once.
const maxDials = 64

// adopted takes over a descriptor that came from a sandbox: a TCP socket, and nothing else, whatever was sent.
func adopted(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection into a sandbox")
	defer f.Close()
	for option, want := range map[int]int{syscall.SO_TYPE: syscall.SOCK_STREAM, soDomain: syscall.AF_INET} {
		if got, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, option); err != nil || got != want {
			return nil, fmt.Errorf("what the sandbox sent is no connection: %d, %w", got, err)
		}
	}
	return net.FileConn(f) // a copy, which never blocks
}

// soDomain is SO_DOMAIN, which package syscall does not name (asm-generic/socket.h).
const soDomain = 39
