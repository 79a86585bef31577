package casemate

// Bounds of an outbound HTTP exchange of a guest, in bytes of each body.
const (
	MaxFetch   = 6 << 20
	MaxFetched = 6 << 20
)

// Fetch is one HTTP request of a guest to the outside. It goes to exactly the host and port of URL, when the function was
// granted them: no redirect is followed and no proxy used.
type Fetch struct {
	Method string              `json:"method,omitempty"` // "" is GET
	URL    string              `json:"url"`              // absolute, http or https
	Header map[string][]string `json:"header,omitempty"` // without Host and the fields that frame a message
	Body   []byte              `json:"body,omitempty"`   // at most MaxFetch
}

// Fetched is the answer to a Fetch.
type Fetched struct {
	Status int                 `json:"status"`
	Header map[string][]string `json:"header,omitempty"` // canonical names: "Content-Type"
	Body   []byte              `json:"body,omitempty"`   // at most MaxFetched
}
