// Package cache keeps answers of routes that say so, for callers who ask the same again. What is kept for one caller is given
// to no other, unless the route says that its answers do not depend on who asks; who asks was verified and allowed before,
// every time. Of equal requests that come at once, one runs and the others wait for its answer.
package cache

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"casemate"
)

// Config bounds what is kept. A zero field means its default.
type Config struct {
	Bytes int64 // of all answers; 64 MiB
	Each  int64 // of one answer; 1 MiB
}

// Cache keeps answers. All methods may be called concurrently.
type Cache struct {
	cfg Config

	mu      sync.Mutex
	kept    map[key]*list.Element // of *entry
	order   *list.List            // least recently used last
	bytes   int64
	running map[key]*run
}

type key [sha256.Size]byte

type entry struct {
	key   key
	res   *casemate.Result
	at    time.Time
	until time.Time
	bytes int64
}

// run is an event whose answer others wait for.
type run struct {
	done chan struct{}
	res  *casemate.Result // nil when it came to nothing that can be shared
}

// New makes an empty cache.
func New(cfg Config) *Cache {
	if cfg.Bytes <= 0 {
		cfg.Bytes = 64 << 20
	}
	if cfg.Each <= 0 {
		cfg.Each = 1 << 20
	}
	return &Cache{cfg: cfg, kept: map[key]*list.Element{}, order: list.New(), running: map[key]*run{}}
}

// Kept gives the answer that was kept for an equal event, or has run give one. An event without a route that keeps answers,
// or one whose answer cannot be told from its request, runs.
func (c *Cache) Kept(ctx context.Context, now time.Time, m *casemate.Match, e *casemate.Event, p *casemate.Principal, do func(context.Context) (*casemate.Result, error)) (*casemate.Result, error) {
	k, ok := keyOf(m, e, p)
	if !ok {
		return do(ctx)
	}
	c.mu.Lock()
	if res := c.find(k, now); res != nil {
		c.mu.Unlock()
		return res, nil
	}
	if other := c.running[k]; other != nil {
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, &casemate.Error{Code: casemate.Timeout, Message: "the answer was not there in time", Hint: "ask again", Err: ctx.Err()}
		case <-other.done:
		}
		if other.res != nil {
			return free(other.res), nil
		}
		return do(ctx) // what cannot be kept is everybody's own
	}
	mine := &run{done: make(chan struct{})}
	c.running[k] = mine
	c.mu.Unlock()
	return c.lead(ctx, now, k, mine, m.Route, do)
}

// lead runs the event that others wait for, and keeps what came of it.
func (c *Cache) lead(ctx context.Context, now time.Time, k key, mine *run, r *casemate.Route, do func(context.Context) (*casemate.Result, error)) (*casemate.Result, error) {
	defer func() { // also when do panics
		c.mu.Lock()
		delete(c.running, k)
		c.mu.Unlock()
		close(mine.done)
	}()
	res, err := do(ctx)
	if err != nil {
		return nil, err
	}
	if ttl := c.life(r, res); ttl > 0 {
		mine.res = res
		c.mu.Lock()
		c.put(&entry{key: k, res: res, at: now, until: now.Add(ttl), bytes: size(res)})
		c.mu.Unlock()
	}
	return res, nil
}

// find gives a kept answer, with its age. The lock is held.
func (c *Cache) find(k key, now time.Time) *casemate.Result {
	el := c.kept[k]
	if el == nil {
		return nil
	}
	x := el.Value.(*entry)
	if !now.Before(x.until) || now.Before(x.at) { // a clock that was set back makes nothing live longer
		c.drop(el)
		return nil
	}
	c.order.MoveToFront(el)
	res, a := free(x.res), *x.res.Answer
	a.Header = aged(a.Header, now.Sub(x.at))
	res.Answer = &a
	return res
}

// free is a result that cost nothing, because another event paid for it.
func free(res *casemate.Result) *casemate.Result {
	out := *res
	out.Usage, out.Effects, out.Tail = casemate.Usage{}, nil, nil
	return &out
}

// aged adds the age in seconds (RFC 9111 section 5.1) to a copy of sorted header lines.
func aged(lines []casemate.HeaderLine, age time.Duration) []casemate.HeaderLine {
	out := make([]casemate.HeaderLine, 0, len(lines)+1)
	line := casemate.HeaderLine{Name: "age", Value: strconv.FormatInt(int64(age/time.Second), 10)}
	placed := false
	for _, l := range lines {
		if l.Name == line.Name {
			continue
		}
		if !placed && l.Name > line.Name {
			out, placed = append(out, line), true
		}
		out = append(out, l)
	}
	if !placed {
		out = append(out, line)
	}
	return out
}

// put keeps an entry, and drops the least recently used ones until there is room. The lock is held.
func (c *Cache) put(x *entry) {
	if el := c.kept[x.key]; el != nil {
		c.drop(el)
	}
	c.kept[x.key] = c.order.PushFront(x)
	c.bytes += x.bytes
	for c.bytes > c.cfg.Bytes {
		c.drop(c.order.Back())
	}
}

func (c *Cache) drop(el *list.Element) {
	x := el.Value.(*entry)
	c.order.Remove(el)
	delete(c.kept, x.key)
	c.bytes -= x.bytes
}

// size is what an entry costs in memory, about: what is beside its texts is a kilobyte.
func size(res *casemate.Result) int64 {
	n := int64(1<<10 + len(res.Payload) + len(res.Answer.Body))
	for _, l := range res.Answer.Header {
		n += int64(len(l.Name)+len(l.Value)) + 32
	}
	return n
}

// life is how long an answer may be kept: not at all unless it is a plain success that sets no cookie, at most the route's
// time, and never longer than the function says (RFC 9111 section 5.2.2).
func (c *Cache) life(r *casemate.Route, res *casemate.Result) time.Duration {
	a, k := res.Answer, r.Keep
	if a == nil || res.Failure != casemate.FailureNone || a.Status != 200 || len(a.Cookies) > 0 || size(res) > c.cfg.Each {
		return 0
	}
	ttl := k.TTL
	for d := range strings.SplitSeq(strings.ToLower(a.Get("cache-control")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "private":
			if k.Shared {
				return 0
			}
		case "max-age", "s-maxage":
			s, err := strconv.Atoi(strings.Trim(value, `"`))
			if err != nil || s <= 0 {
				return 0
			}
			ttl = min(ttl, time.Duration(min(s, 1<<30))*time.Second)
		}
	}
	for h := range strings.SplitSeq(strings.ToLower(a.Get("vary")), ",") { // an answer that depends on what the key does not hold
		if h = strings.TrimSpace(h); h != "" && !slices.Contains(k.Vary, h) {
			return 0
		}
	}
	if origin := a.Get("access-control-allow-origin"); origin != "" && origin != "*" && !cors(r) && !slices.Contains(k.Vary, "origin") {
		return 0 // a function that answers one origin, and forgot to say that its answer varies
	}
	return ttl
}

// cors reports a route that speaks about origins itself, anew for every answer: what its function says of them never leaves.
func cors(r *casemate.Route) bool { return r.Browser != nil && r.Browser.CORS != nil }

// keyOf names everything that an answer may depend on: what runs, who asks and with which rights, and what is asked. A
// request with a body, with cookies that the route does not name, with a credential that only the function understands, or for a part of
// an answer, has none.
func keyOf(m *casemate.Match, e *casemate.Event, p *casemate.Principal) (k key, ok bool) {
	if m.Route == nil || m.Route.Keep == nil || m.Version == nil || e.Header == nil || e.Size != 0 || e.Async || e.DryRun || e.Credential.Kind == casemate.CredentialRun {
		return k, false
	}
	keep := m.Route.Keep
	if e.Target.Method != "GET" && e.Target.Method != "HEAD" {
		return k, false
	}
	for _, name := range [...]string{"range", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"} {
		if len(e.Header(name)) > 0 {
			return k, false
		}
	}
	if len(e.Header("cookie")) > 0 && !slices.Contains(keep.Vary, "cookie") {
		return k, false
	}
	// Whose credential is the function's affair, its answer is theirs.
	if !p.Known() && (!keep.Shared || e.Credential.Kind != casemate.CredentialNone) || p.Known() && len(m.Route.Auth.Own(&e.Credential, p)) > 0 {
		return k, false
	}
	h := sha256.New()
	part := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:]) // a hash takes everything
		h.Write([]byte(s))
	}
	for _, s := range [...]string{m.Version.ID, m.Route.App, m.Route.ID, m.Route.Contract, m.Revision, e.Target.Host, e.Target.Method, e.Target.Path, e.Query, e.Tenant} {
		part(s)
	}
	if !keep.Shared {
		who(part, p)
	}
	for _, name := range keep.Vary {
		values := e.Header(name)
		part(strconv.Itoa(len(values)))
		for _, v := range values {
			part(v)
		}
	}
	h.Sum(k[:0])
	return k, true
}

// who adds a caller with all that functions are told about it: two tokens of one subject may say different things.
func who(part func(string), p *casemate.Principal) {
	part(string(p.Kind))
	part(p.ID)
	part(p.Account)
	part(p.Role)
	for _, m := range [...]map[string]string{p.Tags, p.Claims, p.Context} {
		part(strconv.Itoa(len(m)))
		for _, k := range slices.Sorted(maps.Keys(m)) {
			part(k)
			part(m[k])
		}
	}
	part(strconv.Itoa(len(p.Scopes)))
	for _, s := range p.Scopes {
		part(s)
	}
}
