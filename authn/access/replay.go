package access

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"casemate"
	"casemate/authn/sigv4"
)

// Bounds of what is remembered about signatures that were used: 40 MB or so, of which one caller takes a quarter. That is
// room for 290 changes a second of one caller over the whole window, and more with a shorter one.
const (
	mostMarks   = 1 << 20
	ownMarks    = mostMarks / 4
	mostRepeats = 4096 // equal calls of one second: as many as the workers of a busy machine make, who share a key and wait for one queue
	mostCallers = 100_000
	repeatTime  = 3 * time.Second // in which an SDK's own repetitions with one signature come
)

// replays remembers the signatures of requests that change something, for as long as each could be used again. A client
// signs to the second: the same call twice in one second has one signature. SDKs that sign nothing else tell the two apart
// by amz-sdk-invocation-id and amz-sdk-request, which are taken for it within repeatTime, from the same address.
//
// When a caller fills its share, its oldest signatures are forgotten, and whatever it signed then or before is refused: the
// window grows shorter, never leaky.
type replays struct {
	mu    sync.Mutex
	by    map[string]*marks // by caller
	total int
	start time.Time // what was signed before is refused: the memory of it ended with the node
}

// digest is the first half of a hash: enough to tell signatures apart, which nobody without the key can choose.
type digest [16]byte

// marks are one caller's, by the minute until which they matter.
type marks struct {
	minutes map[int64]map[digest]struct{}
	n       int
	floor   int64 // minute up to which nothing is remembered any more
	pruned  int64 // minute of the last look for what can go

	fresh, stale map[digest]*first // of the last moments, in two generations
	turned       time.Time
}

// first is when and whence a signature came that may be repeated.
type first struct {
	at     time.Time
	source string
	n      int
}

func newReplays(start time.Time) *replays {
	return &replays{by: map[string]*marks{}, start: start.Truncate(time.Second)}
}

// changes reports whether a request may change something, so that it must not happen twice. PUT of a route, signed in its query, is
// meant to be sent until it arrives; to a service the query protocol goes by any method.
func changes(e *casemate.Event, g *sigv4.Signature) bool {
	if issues(e.Target.Builtin) {
		return true
	}
	switch e.Credential.Signed.Method {
	case "GET", "HEAD", "OPTIONS":
		return e.Target.Builtin != "" && !reads(e.Target.Builtin) // the query protocol does everything by GET
	case "PUT":
		return !g.Presigned || e.Target.Builtin != "" && !reads(e.Target.Builtin)
	}
	return e.Target.Builtin == "" || !reads(e.Target.Builtin)
}

// take takes a verified signature of caller; false means that it was used before. until is when it can be used no more.
func (r *replays) take(caller string, g *sigv4.Signature, e *casemate.Event, now, until time.Time) bool {
	mac, said := g.ID(), nonce(g, e)
	id, named := digest(mac[:16]), named(mac[:], said)
	minute := until.Unix() / 60
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.by[caller]
	if m == nil {
		m = &marks{minutes: map[int64]map[digest]struct{}{}}
		r.by[caller] = m
	}
	r.prune(m, now)
	if minute <= m.floor || g.At.Before(r.start) {
		return false
	}
	set := m.minutes[minute]
	if set == nil {
		set = map[digest]struct{}{}
		m.minutes[minute] = set
	}
	if _, seen := set[id]; seen {
		_, same := set[named]
		if same || said == "" || !m.again(id, e.SourceIP, now) {
			return false
		}
	} else {
		m.fresh[id] = &first{at: now, source: e.SourceIP}
		r.mark(m, set, id)
	}
	if said != "" {
		r.mark(m, set, named)
	}
	for m.n > ownMarks {
		r.drop(m)
	}
	if r.total > mostMarks || len(r.by) > mostCallers {
		r.shrink(now)
	}
	return true
}

func (r *replays) mark(m *marks, set map[digest]struct{}, d digest) {
	set[d] = struct{}{}
	m.n++
	r.total++
}

// named is the digest of a signature with what its SDK says beside.
func named(mac []byte, said string) digest {
	sum := sha256.Sum256(append(append([]byte("said"), mac...), said...))
	return digest(sum[:16])
}

// again takes a call that an SDK makes with the signature of another: within moments, from the same place.
func (m *marks) again(id digest, source string, now time.Time) bool {
	f := m.fresh[id]
	if f == nil {
		f = m.stale[id]
	}
	if f == nil || now.Sub(f.at) > repeatTime || f.source != source || f.n >= mostRepeats {
		return false
	}
	f.n++
	return true
}

// nonce is what an SDK that does not sign it says of its call and its attempt.
func nonce(g *sigv4.Signature, e *casemate.Event) string {
	const call, attempt = "amz-sdk-invocation-id", "amz-sdk-request"
	h := e.Credential.Signed.Header
	if len(h[call]) != 1 || len(h[call][0]) > 64 || len(h[attempt]) > 1 {
		return ""
	}
	n := h[call][0]
	if len(h[attempt]) == 1 {
		n += " " + h[attempt][0]
	}
	return n[:min(len(n), 128)]
}

// prune forgets signatures that cannot be used any more.
func (r *replays) prune(m *marks, now time.Time) {
	if m.fresh == nil || now.Sub(m.turned) > repeatTime {
		m.stale, m.fresh, m.turned = m.fresh, map[digest]*first{}, now
	}
	minute := now.Unix() / 60
	if m.pruned == minute {
		return
	}
	m.pruned = minute
	for old, set := range m.minutes {
		if old < minute {
			m.n -= len(set)
			r.total -= len(set)
			delete(m.minutes, old)
		}
	}
}

// drop forgets a caller's oldest minute, and closes it.
func (r *replays) drop(m *marks) {
	oldest := int64(1<<63 - 1)
	for minute := range m.minutes {
		oldest = min(oldest, minute)
	}
	m.n -= len(m.minutes[oldest])
	r.total -= len(m.minutes[oldest])
	delete(m.minutes, oldest)
	m.floor = max(m.floor, oldest)
}

// shrink forgets callers of whom nothing matters any more, and then makes room at the cost of who has the most, where all
// together are over the bound.
func (r *replays) shrink(now time.Time) {
	var most *marks
	for caller, m := range r.by {
		r.prune(m, now)
		if m.n == 0 && m.floor < now.Unix()/60 {
			delete(r.by, caller)
		} else if most == nil || m.n > most.n {
			most = m
		}
	}
	for most != nil && most.n > 0 && r.total > mostMarks {
		r.drop(most)
	}
}

// issues reports whether an operation hands out credentials: whatever its name and its method, the same request gets no
// second ones.
func issues(operation string) bool {
	return strings.HasPrefix(operation, "sts.") && operation != "sts.GetCallerIdentity"
}

// reads reports whether an operation of a service only looks: what comes of it twice comes of it once.
func reads(operation string) bool {
	_, name, _ := strings.Cut(operation, ".")
	for _, verb := range [...]string{"Get", "List", "Describe", "BatchGet", "Head"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}
