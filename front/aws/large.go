package aws

import (
	"context"
	nethttp "net/http"
	"time"

	"casemate"
)

// Bounds of large bodies: code of functions. Few are in memory at once, whoever sends them.
const (
	maxLarge  = 2
	largeTime = 2 * time.Minute // to send one
)

// Bounds of other bodies, which are in memory until they are answered.
const (
	light = 64 << 10                     // bytes; one of no more is not counted
	heavy = maxCalls * (maxBody + slack) // bytes of all others together
)

// large gives the bound of the body of an operation that takes more than others do, and a place among the few that are read at
// once; 0 without an error: it is no such operation, or no such body. The place is given back by ServeHTTP, after the answer.
func (c *call) large(r *nethttp.Request) (int64, error) {
	o := c.s.c.Operations[c.Service.Name+"."+c.Operation()]
	if o == nil || o.Body <= maxBody || r.ContentLength <= maxBody || c.open {
		return 0, nil
	}
	if r.ContentLength > o.Body {
		return 0, casemate.Errorf(casemate.TooLarge, "send less", "Request must be smaller than %d bytes for the %s operation", o.Body, o.Name)
	}
	ctx, cancel := context.WithTimeout(r.Context(), placeTime)
	defer cancel()
	select {
	case c.s.large <- struct{}{}:
	case <-ctx.Done():
		return 0, &casemate.Error{Code: casemate.Unavailable, Message: "too many large requests at once", Hint: "try again", Retry: 10}
	}
	c.leaveLarge = func() { <-c.s.large }
	if b, ok := r.Body.(*body); ok {
		_ = b.conn.SetReadDeadline(time.Now().Add(largeTime)) // as in ServeHTTP
	}
	return o.Body, nil
}

// weigh counts a body of n bytes until ServeHTTP gives it back, after the answer. Beyond the bound only heavy ones are turned away:
// calls that take long, which any caller may make, must keep nobody from asking.
func (c *call) weigh(n int64) error {
	if n <= light || c.leaveLarge != nil {
		return nil
	}
	leave := func() { c.s.weight.Add(-n) }
	if c.s.weight.Add(n) > heavy {
		leave()
		return &casemate.Error{Code: casemate.Unavailable, Message: "too many large requests at once", Hint: "try again", Retry: 1}
	}
	c.leaveLarge = leave
	return nil
}
