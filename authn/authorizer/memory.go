package authorizer

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"casemate"
)

// Bounds of what is remembered. A no is remembered apart from a yes, and a principal has a share: whoever makes up
// credentials, or has one good one and varies the rest, pushes out nobody else's.
const (
	maxYes   = 2048
	maxNo    = 2048
	maxOfOne = 64
)

// key is a question: who asks whom, what was shown, and for what. It holds no credential.
type key [sha256.Size]byte

// keyOf hashes all that an answer depends on. A policy is decided on for each request anew, so one answer holds for a
// whole route, as on API Gateway; a plain yes (format 2.0) is for that path and method alone. A deploy changes the
// revision, and with it every key.
func keyOf(e *casemate.Event, m *casemate.Match, a *casemate.Authorizer, sources []string) key {
	h := sha256.New()
	parts := append([]string{a.ID(), m.Revision, m.Route.App, m.Route.ID, m.Route.Host}, sources...)
	if a.Format == "2.0" {
		parts = append(parts, m.Resource)
	}
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return key(h.Sum(nil))
}

// memory is the answers that are in force, the least recently used of which go first.
type memory struct {
	mu      sync.Mutex
	yes, no shelf
	of      map[string]int // yeses by principal
}

// shelf is one least-recently-used list.
type shelf struct {
	by    map[key]*list.Element
	order *list.List // of *kept, newest use in front
}

type kept struct {
	key  key
	said *said
}

func newMemory() *memory {
	return &memory{yes: shelf{map[key]*list.Element{}, list.New()}, no: shelf{map[key]*list.Element{}, list.New()}, of: map[string]int{}}
}

func (m *memory) get(k key, now time.Time) *said {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range [...]*shelf{&m.yes, &m.no} {
		el := s.by[k]
		if el == nil {
			continue
		}
		if x := el.Value.(*kept); now.Before(x.said.until) {
			s.order.MoveToFront(el)
			return x.said
		}
		m.drop(s, el)
	}
	return nil
}

func (m *memory) put(k key, x *said) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range [...]*shelf{&m.yes, &m.no} {
		if el := s.by[k]; el != nil {
			m.drop(s, el)
		}
	}
	s, most := &m.no, maxNo
	if x.who != nil {
		s, most = &m.yes, maxYes
		if m.of[x.who.ID] >= maxOfOne {
			m.dropOldest(x.who.ID)
		}
		m.of[x.who.ID]++
	}
	s.by[k] = s.order.PushFront(&kept{k, x})
	if len(s.by) > most {
		m.drop(s, s.order.Back())
	}
}

// dropOldest forgets the answer about one principal that was used the longest ago.
func (m *memory) dropOldest(id string) {
	for el := m.yes.order.Back(); el != nil; el = el.Prev() {
		if el.Value.(*kept).said.who.ID == id {
			m.drop(&m.yes, el)
			return
		}
	}
}

func (m *memory) drop(s *shelf, el *list.Element) {
	x := s.order.Remove(el).(*kept)
	delete(s.by, x.key)
	if x.said.who == nil {
		return
	}
	if m.of[x.said.who.ID]--; m.of[x.said.who.ID] <= 0 {
		delete(m.of, x.said.who.ID)
	}
}
