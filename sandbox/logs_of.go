package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// lines is the log of one of several events that a sandbox has in flight.
type lines struct {
	tail    []byte
	bytes   int
	dropped bool
}

// join begins the log of one of several events. A line is an event's when it says so; others are the sandbox's, and are no event's.
// Every event brings what one may write, to its own log, and once more to that of the sandbox.
func (l *runLog) join(request string, cold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[string]*lines{}
	}
	l.request = ""
	l.bytes = max(l.bytes-l.most, 0)
	l.dropped = false
	of := &lines{}
	if cold {
		of.tail = slices.Clone(l.tail)
	}
	l.tail = l.tail[:0]
	l.of[request] = of
}

// part ends the log of one of several events, and gives its end.
func (l *runLog) part(request string) (tail []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.of[request]; of != nil {
		tail = of.tail
	}
	delete(l.of, request)
	return tail
}

// say writes a line of the platform's own to the log of one of several events; "" is none.
func (l *runLog) say(request, text string) {
	if text == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writeOf(request, "platform", "", text)
}

// whose is the event in flight that a line names as its own: the field of an entry in JSON (requestId as Node and Python write
// it, AWSRequestId as other clients do), or the second field of an entry of text, as Node writes it. The function says that
// itself, so it can only choose among the events that it has.
func (l *runLog) whose(text string) string {
	if strings.HasPrefix(text, "{") {
		var entry struct {
			Request string `json:"requestId"`
			AWS     string `json:"AWSRequestId"`
		}
		if json.Unmarshal([]byte(text), &entry) == nil {
			for _, id := range []string{entry.Request, entry.AWS} {
				if l.of[id] != nil {
					return id
				}
			}
		}
		return ""
	}
	fields := strings.SplitN(text, "\t", 3)
	if len(fields) == 3 && l.of[fields[1]] != nil {
		return fields[1]
	}
	return ""
}

// writeOf hands out a line of one of several events. The caller holds the lock.
func (l *runLog) writeOf(request, stream, level, text string) {
	of := l.of[request]
	if of == nil {
		return
	}
	if stream != "platform" {
		if of.bytes += cost(text); of.bytes > l.most {
			if !of.dropped {
				of.dropped = true
				l.writeOf(request, "platform", "", fmt.Sprintf("LOGS dropped: the run wrote more than its limit of %d KiB", l.most>>10))
			}
			return
		}
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	of.tail = tailed(of.tail, text)
	l.emit(stream, level, request, text)
}

// slow says whether somebody writes more than is kept. The caller holds the lock.
func (l *runLog) slow() bool {
	if l.dropped {
		return true
	}
	for of := range maps.Values(l.of) {
		if of.dropped {
			return true
		}
	}
	return false
}

// tailed adds a line to the end of a log, which it keeps short.
func tailed(tail []byte, text string) []byte {
	tail = append(append(tail, text...), '\n')
	if over := len(tail) - tailSize; over > 0 {
		tail = append(tail[:0], tail[over:]...)
	}
	return tail
}
