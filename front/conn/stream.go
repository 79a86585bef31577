package conn

import (
	"net/netip"
	"sync"
)

// fewStreams is what a source may have open when all streams together are at their bound, until twice as many are.
const fewStreams = 64

// streams counts open HTTP/2 streams over connections. Each costs memory for as long as its peer takes no answer, in the
// server's own hands, where nothing else bounds it.
type streams struct {
	mu  sync.Mutex
	of  map[netip.Prefix]int // never zero
	all int
}

// open counts one more, or says which bound it is beyond.
func (s *streams) open(l *Limits, source netip.Prefix) (rule string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n := s.of[source]; {
	case n >= l.SourceStreams:
		return "open HTTP/2 streams"
	case s.all >= 2*l.Streams || s.all >= l.Streams && n >= fewStreams:
		return "open HTTP/2 streams beside everybody's"
	}
	s.of[source]++
	s.all++
	return ""
}

// end counts n fewer.
func (s *streams) end(source netip.Prefix, n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all -= n
	if s.of[source] -= n; s.of[source] <= 0 {
		delete(s.of, source)
	}
}

// asks notes a stream that the peer opens, and says which bound it is beyond. What names an older stream opens none.
func (s *session) asks(id uint32) (rule string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id <= s.last || s.left {
		return ""
	}
	s.last = id
	if rule = s.g.streams.open(&s.g.l, s.prefix); rule == "" {
		s.asked[id] = struct{}{}
	}
	return rule
}

// ends notes that a stream is over, for either side's reason.
func (s *session) ends(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.asked[id]; ok {
		delete(s.asked, id)
		s.g.streams.end(s.prefix, 1)
	}
}

// Close implements net.Conn.
func (s *session) Close() error {
	s.mu.Lock()
	s.left = true
	s.g.streams.end(s.prefix, len(s.asked))
	clear(s.asked)
	s.mu.Unlock()
	return s.Conn.Close()
}
