package manifest

import (
	"time"

	"casemate"
)

// response checks how answers of a route or URL leave. What has to be seen whole before it leaves is not streamed.
func (c *checker) response(ptr string, r *Route, f *Function) {
	if r.Response != "stream" {
		return
	}
	switch {
	case r.Cache != nil:
		c.bad(ptr+"/response", "leave one of them out", "an answer that is kept for others has to be whole: response: stream and cache do not go together")
	case r.Contract != nil && r.Contract.Answers != "off":
		c.warn(ptr+"/response", "answers: off in the contract streams them, and looks at none", "answers are held to the contract, so they leave when they are whole")
	case f != nil && casemate.Runtime(f.Runtime).Family() == "wasm":
		c.warn(ptr+"/response", "", "WebAssembly functions answer when they have ended")
	}
}

// within tells of a function that is given more time than callers of its route wait, where the route does not say so itself.
func (c *checker) within(ptr string, r *Route, f *Function) {
	if f == nil || r.Timeout != 0 {
		return
	}
	is := casemate.Route{Payload: r.Payload, Response: r.Response}
	if r.Response != casemate.ResponseStream {
		is.Response = casemate.ResponseBuffered
	}
	if limit := is.Within(); limit > 0 && time.Duration(f.Timeout) > limit {
		c.warn(ptr, "timeout: "+time.Duration(f.Timeout).String()+" waits as long, or Prefer: respond-async", "the function may run for %s, and callers of the route get 504 after %s, as from API Gateway",
			time.Duration(f.Timeout), limit)
	}
}
