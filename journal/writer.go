package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
)

// missed is the stream name of the line that tells a slow follower what it did not get.
const missed = "platform-missed"

// writer is the state that the journal's one goroutine owns.
type writer struct {
	cfg       Config
	file      *os.File
	size      int64
	buf       []byte // lines gathered, not written yet
	held      int    // so many
	lost      int    // lines lost by a flush that nobody asked for
	err       error  // and why
	next      int    // number of the next segment
	followers map[chan casemate.LogLine]bool
}

// flushBytes is how much is gathered before it is written although more is queued.
const flushBytes = 256 << 10

// add gathers a line and tells the followers.
func (w *writer) add(l casemate.LogLine) {
	for live := range w.followers {
		tell(live, l)
	}
	w.buf = append(appendLine(w.buf, &l), '\n')
	w.held++
	if int64(len(w.buf)) >= min(flushBytes, w.cfg.Segment/2) {
		lost, err := w.flush()
		w.lost += lost
		w.err = err
	}
}

// flush writes what was gathered. It says how many lines did not get to the file since the last flush that was asked
// for, and why.
func (w *writer) flush() (lost int, err error) {
	lost, err = w.lost, w.err
	w.lost, w.err = 0, nil
	if w.held == 0 {
		return lost, err
	}
	if w.size+int64(len(w.buf)) > w.cfg.Segment && w.size > 0 {
		err = w.rotate()
	}
	if err == nil {
		err = w.append()
	}
	if err != nil {
		lost += w.held
	}
	w.buf, w.held = w.buf[:0], 0
	return lost, err
}

// append writes the buffer whole or not at all: a torn line would spoil the ones after it.
func (w *writer) append() error {
	n, err := w.file.Write(w.buf)
	if err != nil && n > 0 {
		err = errors.Join(err, w.file.Truncate(w.size))
		n = 0
	}
	w.size += int64(n)
	return err
}

// appendLine writes the line as encoding/json would.
func appendLine(b []byte, l *casemate.LogLine) []byte {
	b = append(b, `{"at":"`...)
	b = l.At.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","app":`...)
	b = appendText(b, l.App)
	b = append(b, `,"function":`...)
	b = appendText(b, l.Function)
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, int64(l.Version), 10)
	if l.Request != "" {
		b = append(b, `,"request":`...)
		b = appendText(b, l.Request)
	}
	b = append(b, `,"stream":`...)
	b = appendText(b, l.Stream)
	if l.Level != "" {
		b = append(b, `,"level":`...)
		b = appendText(b, l.Level)
	}
	b = append(b, `,"text":`...)
	b = appendText(b, l.Text)
	return append(b, '}')
}

// appendText writes a JSON string; what plain ASCII cannot say goes the long way.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			text, err := json.Marshal(s)
			if err != nil { // strings always encode
				return append(b, `""`...)
			}
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// tell gives a line to a follower; one whose queue is full loses its oldest lines to a line that says so.
func tell(live chan casemate.LogLine, l casemate.LogLine) {
	select {
	case live <- l:
		return
	default:
	}
	n := 0
	for len(live) > followerLines/2 {
		<-live
		n++
	}
	live <- casemate.LogLine{At: l.At, Stream: missed, Text: strconv.Itoa(n) + " lines were not shown: the reader is too slow"}
	live <- l
}

// rotate starts a new segment and retires the oldest ones.
func (w *writer) rotate() error {
	names, err := segments(w.cfg.Dir)
	if err != nil {
		return err
	}
	if w.next == 0 && len(names) > 0 {
		last := strings.TrimSuffix(filepath.Base(names[len(names)-1]), segmentSuffix)
		if w.next, err = strconv.Atoi(last); err != nil {
			return fmt.Errorf("a foreign file stands in the journal: %w", err)
		}
	}
	w.next++
	name := filepath.Join(w.cfg.Dir, fmt.Sprintf("%012d%s", w.next, segmentSuffix))
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w.close()
	w.file, w.size = file, 0
	for len(names)+1 > w.cfg.Segments {
		if err := os.Remove(names[0]); err != nil {
			return err
		}
		names = names[1:]
	}
	return nil
}

func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close() // lines are best effort; a write error was told when it happened
	}
}

// view is the state for a reader: files with their sizes now, and a channel of all that comes after.
func (w *writer) view() view {
	v := view{live: make(chan casemate.LogLine, followerLines)}
	names, err := segments(w.cfg.Dir)
	if err != nil {
		tell(v.live, casemate.LogLine{At: time.Time{}, Stream: missed, Text: "the history cannot be listed: " + err.Error()})
	}
	for _, n := range names {
		if info, err := os.Stat(n); err == nil {
			v.files = append(v.files, part{n, info.Size()})
		}
	}
	w.followers[v.live] = true
	return v
}

// segments lists the journal's files, oldest first.
func segments(dir string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	slices.Sort(names)
	return names, err
}
