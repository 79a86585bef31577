package journal

import (
	"encoding/json"
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
	next      int // number of the next segment
	followers map[chan casemate.LogLine]bool
}

func (w *writer) write(l casemate.LogLine) error {
	for live := range w.followers {
		tell(live, l)
	}
	data, err := json.Marshal(&l)
	if err != nil {
		return err
	}
	if w.size+int64(len(data)) >= w.cfg.Segment {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	n, err := w.file.Write(append(data, '\n'))
	if err != nil && n > 0 { // a torn line would spoil the ones after it
		err = fmt.Errorf("%w (%v)", err, w.file.Truncate(w.size))
		n = 0
	}
	w.size += int64(n)
	return err
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
