package wire

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"casemate"
)

// Call is one request of an SDK: what it was sent with, and what it asks for.
type Call struct {
	Signed   *casemate.Signed
	Service  Known
	Protocol Protocol
	Body     []byte // nil when nothing will read it
	Hidden   string // a parameter that is no part of the question: the caller's own credential
}

// Direct answers operations that are events of their own rather than operations of the platform: Lambda's Invoke.
type Direct struct {
	// Event makes the event of a request. nil without an error: the service has no such operation here. The caller fills
	// in whose event it is.
	Event func(place casemate.Place, s *casemate.Signed, body []byte) (*casemate.Event, error)
	// Answer says what a result looks like to the SDK.
	Answer func(s *casemate.Signed, res *casemate.Result) (status int, header map[string]string, body []byte)

	// Streams reports whether an answer is one of parts, which may leave while it is made: behind Head, what is known of the
	// result at that time in header lines, each part is a Frame, and what came of it the Last one. nil: none is.
	Streams func(s *casemate.Signed) bool
	Head    func(s *casemate.Signed, r *casemate.Result) map[string]string
	Frame   func(p []byte) []byte
	Last    func(s *casemate.Signed, res *casemate.Result) []byte
}

// Largest is the most bytes that the body of an operation of a service may have, within most; 0: it has none.
func Largest(operations map[string]*casemate.Operation, service string, most int64) (limit int64) {
	for _, o := range operations {
		if o.Service == service {
			limit = max(limit, min(o.Body, most))
		}
	}
	return limit
}

// Hear finds out what a request speaks, from the scope of its signature.
func Hear(s *casemate.Signed, service string) Call {
	k := Lookup(service)
	return Call{Signed: s, Service: k, Protocol: k.Speaks(s)}
}

// Operation is the name of the operation that the request names, in the way of its protocol; its method where it has none.
func (c *Call) Operation() string {
	name := ""
	switch header := c.Signed.Header["x-amz-target"]; {
	case c.Protocol == cbor: // /service/<name>/operation/<name>
		_, name, _ = strings.Cut(c.Signed.Path, "/operation/")
	case c.Protocol == query || c.Protocol == ec2:
		name = c.Parameters().Get("Action")
	case len(header) == 1:
		name = header[0][strings.LastIndexByte(header[0], '.')+1:]
	case c.Protocol == s3:
		name = c.object()
	case c.Protocol == restJSON:
		if w, ok := c.way(); ok {
			name = w.operation
		}
	}
	if Word(name, 80) {
		return name
	}
	if Word(c.Signed.Method, 10) {
		return c.Signed.Method
	}
	return "request"
}

// way is where the service has the operation that the request is for.
func (c *Call) way() (way, bool) {
	return find(c.Service.Name, c.Signed.Method, c.Signed.Path, c.Signed.Query)
}

// Parameters are those of the query protocols: in the body, or behind the path. nil when they are malformed.
func (c *Call) Parameters() url.Values {
	text := c.Signed.Query
	if len(c.Body) > 0 {
		text = string(c.Body)
	}
	v, err := url.ParseQuery(text)
	if err != nil {
		return nil
	}
	return v
}

// object is the usual action behind a method on a bucket or an object.
func (c *Call) object() string {
	_, key, _ := strings.Cut(strings.Trim(c.Signed.Path, "/"), "/")
	verbs := map[string]string{"GET": "ListBucket", "HEAD": "ListBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
	switch {
	case c.Signed.Path == "/":
		verbs = map[string]string{"GET": "ListAllMyBuckets"}
	case key != "":
		verbs = map[string]string{"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "POST": "PutObject", "DELETE": "DeleteObject"}
	}
	return verbs[c.Signed.Method]
}

// Question is the body of an operation as JSON, whatever the protocol. Parameters of the query protocol are members of one
// object, with their dots: "Tags.member.1.Key". Those of a signature in the query are left out.
func (c *Call) Question() ([]byte, error) {
	switch {
	case c.Protocol == restJSON:
		if w, ok := c.way(); ok {
			members, err := w.members(c.Signed.Path, c.Signed.Query)
			if err != nil {
				return nil, err
			}
			return merge(c.Body, members)
		}
		fallthrough
	case c.Protocol.json():
		if len(c.Body) == 0 {
			return []byte("{}"), nil
		}
		return c.Body, nil
	case c.Protocol != query:
		return nil, &casemate.Error{Code: casemate.Invalid, Message: "the operation does not speak this protocol here"}
	}
	parameters := c.Parameters()
	if parameters == nil {
		return nil, &casemate.Error{Code: casemate.Invalid, AWS: "MalformedQueryString", Message: "the parameters are malformed"}
	}
	members := map[string]string{}
	for name, values := range parameters {
		if len(values) != 1 {
			return nil, &casemate.Error{Code: casemate.Invalid, Message: "a parameter is repeated"}
		}
		if name != "Action" && name != "Version" && name != c.Hidden && !strings.HasPrefix(name, "X-Amz-") {
			members[name] = values[0]
		}
	}
	if c.Service.Name == queueHome {
		if path := c.Signed.Path; members["QueueUrl"] == "" && strings.Count(path, "/") == 2 { // sent to the queue itself
			members["QueueUrl"] = path
		}
		return unflatten(members)
	}
	b, err := json.Marshal(members)
	if err != nil {
		return nil, errors.New("encoding a question")
	}
	return b, nil
}

// Asks is Question of o. A form may say more than is a part of the question, and is in memory for as long: it has the bound of o.
func (c *Call) Asks(o *casemate.Operation) ([]byte, error) {
	q, err := c.Question()
	if most := o.Body; err == nil && int64(len(c.Body)) > most && int64(len(q)) <= most {
		return nil, casemate.Errorf(casemate.TooLarge, "send less", "the body is larger than %d bytes", most)
	}
	return q, err
}

// Answer writes what an operation answered, a JSON object or nothing, in the words of the service.
func (c *Call) Answer(id string, payload []byte) (Reply, error) {
	if c.Protocol == restJSON {
		r, err := c.Protocol.Success("", "", id, payload)
		if w, ok := c.way(); ok {
			r.Status = w.status
		}
		if r.Status == 204 {
			r.Body = nil
			delete(r.Header, "Content-Type")
		}
		return r, err
	}
	if c.Service.Name == queueHome && c.Protocol == query {
		body, err := flatAnswer(c.Operation(), c.namespace(), id, payload)
		return Reply{Status: 200, Header: map[string]string{"X-Amzn-Requestid": id, "Content-Type": "text/xml"}, Body: body}, err
	}
	return c.Protocol.Success(c.Operation(), c.namespace(), id, payload)
}

// namespace is that of a service's XML in the query protocol, by the version that the request names; "" where it names none
// and the service has no operation here (xmlNamespace in the API models of AWS's SDKs).
func (c *Call) namespace() string {
	if c.Protocol != query {
		return ""
	}
	version, scheme, host := c.Parameters().Get("Version"), "http", c.Service.Name
	known := Word(version, 10)
	switch c.Service.Name {
	case queueHome:
		if host = "queue"; !known {
			version, known = "2012-11-05", true
		}
	case "sts":
		if scheme = "https"; !known {
			version, known = "2011-06-15", true
		}
	case "iam":
		scheme = "https"
	}
	if !known {
		return ""
	}
	return scheme + "://" + host + ".amazonaws.com/doc/" + version + "/"
}

// Scope is the service that a signature says it is for, in the Authorization header or in the query; "unknown" when it
// says none.
func Scope(authorization, query string) string {
	credential := ""
	if _, rest, ok := strings.Cut(authorization, "Credential="); ok {
		credential, _, _ = strings.Cut(rest, ",")
	} else if _, rest, ok := strings.Cut(query, "X-Amz-Credential="); ok {
		rest, _, _ = strings.Cut(rest, "&")
		credential, _ = url.QueryUnescape(rest) // a malformed one has no five parts
	}
	parts := strings.Split(strings.TrimSpace(credential), "/")
	if len(parts) != 5 || !Word(parts[3], 40) {
		return "unknown"
	}
	return parts[3]
}

// Word reports whether a record may hold s as a name.
func Word(s string, most int) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= most
}
