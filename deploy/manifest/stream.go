package manifest

import "casemate"

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
