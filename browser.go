package casemate

import (
	"strings"
	"time"
)

// Browser is what a route tells browsers beyond what its function says. A nil Browser is the default: no other origin may
// read answers, security headers are added, cookies are hardened.
type Browser struct {
	CORS *CORS `json:"cors,omitempty"` // nil: preflights are not answered, and what the function says of CORS passes

	HeadersOff bool              `json:"headers_off,omitempty"` // no header is added and none taken out
	Set        map[string]string `json:"set,omitempty"`         // in the place of a default, where the function says nothing; names in lower case
	Omit       []string          `json:"omit,omitempty"`        // defaults that are left out; lower case

	CookiesAsIs bool     `json:"cookies_as_is,omitempty"` // what the function sets passes as it is
	Readable    []string `json:"readable,omitempty"`      // names of cookies that scripts may read
}

// CORS says which pages of other origins may call a route and read its answers (https://fetch.spec.whatwg.org/#http-cors-protocol).
type CORS struct {
	Origins     []string      `json:"origins"` // "https://app.example.com", "https://*.example.com" for one label, or "*" alone
	Methods     []string      `json:"methods"`
	Headers     []string      `json:"headers,omitempty"` // of requests, lower case; "*" is every one
	Expose      []string      `json:"expose,omitempty"`  // of answers; "*" is every one
	Credentials bool          `json:"credentials,omitempty"`
	MaxAge      time.Duration `json:"max_age,omitempty"` // how long a browser may remember the answer to a preflight; 0: as it likes
	Private     bool          `json:"private_network,omitempty"`
}

// Preflight are questions of browsers whether a page may call a route, of one source, that a front answered itself.
type Preflight struct {
	Source string // address they came from
	App    string
	Route  string // its ID
	Rule   string // that refused them; "": they were allowed
	Times  int
}

// String is the setting in a few words.
func (c *CORS) String() string {
	s := strings.Join(c.Methods, ", ") + " from " + strings.Join(c.Origins, ", ")
	if c.Credentials {
		s += ", with credentials"
	}
	if c.Private {
		s += ", into a private network"
	}
	return s
}
