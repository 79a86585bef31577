package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"casemate/internal/walls"
	"casemate/lambda"
)

// Bounds on what a function may write to its standard streams.
const (
	maxLine    = 256 << 10 // bytes of one line; the rest becomes the next one
	maxRunLogs = 16 << 20  // bytes of one run, lineCost of each line included, whatever its version may write
	lineCost   = 128       // bytes that a line costs besides its text: a flood of empty ones is work for the node, too
	tailSize   = 4 << 10   // bytes that an invoke can ask for, as on Lambda
	dropPause  = 5 * time.Millisecond
)

// runLog gathers the lines of one sandbox: its two pipes, the framed log and the platform's own. Lines are attributed to the run that is
// in progress when they are read; settle makes sure that all of a run's lines were.
type runLog struct {
	emit func(stream, level, request, text string)

	mu      sync.Mutex
	request string
	tail    []byte
	most    int // bytes of one run; more is read, slowly, and dropped
	bytes   int
	dropped bool
	pipes   []*logPipe
	of      map[string]*lines         // by request id, where several events are in flight
	tap     func(stream, text string) // hears every line besides; nil: nobody does
}

// hear has every line handed to tap as well. It must not block.
func (l *runLog) hear(tap func(stream, text string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tap = tap
}

// begin attributes what follows to a run. What was written before, while the sandbox started, stays in the tail of a
// cold run.
func (l *runLog) begin(request string, cold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.request, l.bytes, l.dropped = request, 0, false
	if !cold {
		l.tail = l.tail[:0]
	}
}

// adopt hands lines to somebody else from now on, at most so many bytes a run. What was written before is forgotten.
func (l *runLog) adopt(emit func(stream, level, request, text string), most int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.emit, l.request, l.tail, l.bytes, l.dropped = emit, "", l.tail[:0], 0, false
	l.most = int(min(most, maxRunLogs))
	for _, p := range l.pipes {
		p.part = p.part[:0]
	}
}

// platform writes a line of the platform's own; "" is none.
func (l *runLog) platform(text string) {
	if text == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write("platform", "", text)
}

// cost is what a line takes where it is kept: lines are written as JSON there, and a control character as six bytes.
func cost(text string) int {
	n := len(text) + lineCost
	for i := range len(text) {
		if text[i] < ' ' {
			n += 5
		}
	}
	return n
}

// last gives the end of the run's log: whole bytes, not whole lines, as Lambda does it.
func (l *runLog) last() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.tail)
}

// write hands a line out; level is "" where its writer did not say one. The caller holds the lock.
func (l *runLog) write(stream, level, text string) {
	if len(l.of) > 0 && stream != "platform" {
		if request := l.whose(text); request != "" {
			l.writeOf(request, stream, level, text)
			return
		}
	}
	if stream != "platform" {
		l.bytes += cost(text)
		if l.bytes > l.most && walls.Up {
			if !l.dropped {
				l.dropped = true
				l.write("platform", "", fmt.Sprintf("LOGS dropped: the run wrote more than its limit of %d KiB", l.most>>10))
			}
			return
		}
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	l.tail = tailed(l.tail, text)
	l.emit(stream, level, l.request, text)
	if l.tap != nil {
		l.tap(stream, text)
	}
}

// logPipe reads one standard stream of a sandbox.
type logPipe struct {
	log    *runLog
	stream string
	read   *os.File
	raw    syscall.RawConn
	buf    []byte              // under log.mu
	part   []byte              // a line without its end yet, under log.mu
	frames *lambda.FrameReader // of the framed log descriptor, under log.mu; nil for a stream of lines
	done   chan struct{}
}

// framed opens the framed log descriptor: whole entries, which belong to standard output.
func (l *runLog) framed() (*os.File, error) {
	w, err := l.pipe("stdout", &lambda.FrameReader{Most: maxLine})
	if err != nil {
		return nil, fmt.Errorf("opening the framed log: %w", err)
	}
	return w, nil
}

// pipe opens a stream; frames is nil where it is one of lines. The write end goes to the jail; the caller closes its copy.
func (l *runLog) pipe(stream string, frames *lambda.FrameReader) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	raw, err := r.SyscallConn()
	if err != nil {
		r.Close()
		w.Close()
		return nil, err
	}
	p := &logPipe{log: l, stream: stream, frames: frames, read: r, raw: raw, buf: make([]byte, 16<<10), done: make(chan struct{})}
	l.pipes = append(l.pipes, p)
	go p.run()
	return w, nil
}

// run reads until every writer is gone or the pipe was closed.
func (p *logPipe) run() {
	defer close(p.done)
	for {
		var err error
		slow := false
		waitErr := p.raw.Read(func(fd uintptr) bool {
			slow, err = p.once(int(fd))
			return !errors.Is(err, syscall.EAGAIN)
		})
		if waitErr != nil || err != nil {
			return
		}
		if slow { // the bound on what a flood may cost us
			t := time.NewTimer(dropPause)
			<-t.C
		}
	}
}

// once does one read that never blocks, and takes what came apart into lines.
func (p *logPipe) once(fd int) (slow bool, err error) {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	n, err := syscall.Read(fd, p.buf)
	switch {
	case errors.Is(err, syscall.EINTR):
		return false, nil
	case err != nil:
		return false, err
	case n == 0:
		p.flush()
		if p.frames != nil {
			p.frames.End(p.entry)
		}
		return false, io.EOF
	}
	b := p.buf[:n]
	if p.frames != nil {
		b = p.frames.Read(b, p.entry)
	}
	p.split(b)
	return p.log.slow(), nil
}

// entry writes what came as one frame.
func (p *logPipe) entry(level string, text []byte) { p.log.write(p.stream, level, string(text)) }

func (p *logPipe) split(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		chunk := b
		if end >= 0 {
			chunk = b[:end]
		}
		if room := maxLine - len(p.part); len(chunk) > room {
			p.part = append(p.part, chunk[:room]...)
			p.flush()
			b = b[room:]
			continue
		}
		p.part = append(p.part, chunk...)
		if end < 0 {
			return
		}
		p.log.write(p.stream, "", string(p.part))
		p.part = p.part[:0]
		b = b[end+1:]
	}
}

// flush ends a line that has no end.
func (p *logPipe) flush() {
	if len(p.part) > 0 {
		p.log.write(p.stream, "", string(p.part))
		p.part = p.part[:0]
	}
}

// settle reads, without blocking, what the pipes hold now, so that a run's lines are its own. A function that writes
// without end is left after a bound.
func (l *runLog) settle() {
	for _, p := range l.pipes {
		_ = p.raw.Control(func(fd uintptr) { // fails when the pipe is closed, and then there is nothing left
			for range maxRunLogs / len(p.buf) {
				if _, err := p.once(int(fd)); err != nil {
					return
				}
			}
		})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.of) > 1 {
		return // half a line may be another event's, who goes on with it
	}
	for _, p := range l.pipes {
		p.flush()
	}
}

// wait ends when every writer is gone.
func (l *runLog) wait() {
	for _, p := range l.pipes {
		<-p.done
		p.read.Close()
	}
}
