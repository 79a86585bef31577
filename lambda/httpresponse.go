package lambda

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Bodies that callers of AWS know by heart.
const (
	// BodyInternal answers 502: the function failed, or what it returned is no HTTP response.
	BodyInternal = `{"message":"Internal server error"}`
	// BodyTimeout answers 504: the function did not finish in time.
	BodyTimeout = `{"message":"Endpoint request timed out"}`
	// BodyURLForbidden answers 403 on a function URL.
	BodyURLForbidden = `{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: ` +
		`https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}`
)

// TypeStreamed is the content type of a response that starts with a JSON prelude and eight zero bytes.
const TypeStreamed = "application/vnd.awslambda.http-integration-response"

// maxResponseHeader bounds names and values of all headers and cookies together, in bytes: API Gateway's bound.
const maxResponseHeader = 10240

// HTTPHeader is one header line of a response.
type HTTPHeader struct{ Name, Value string }

// HTTPResponse is what a function wants its caller to get. Header names are lower case, sorted, at most one line each;
// cookies become Set-Cookie lines. Nothing in it can break or lie about framing.
type HTTPResponse struct {
	Status  int // 200..599
	Header  []HTTPHeader
	Cookies []string
	Body    []byte
}

// DecodeHTTP reads a function's answer as API Gateway and function URLs do: an object with statusCode is a response;
// any other JSON is a 200 whose body is that JSON, a string without its quotes. An error means 502: its text is for the
// operator and quotes nothing that the function returned. Headers that are the platform's are dropped; one that would
// break the response is an error.
func DecodeHTTP(contentType string, payload []byte) (*HTTPResponse, error) {
	if media, _, _ := strings.Cut(contentType, ";"); strings.EqualFold(strings.TrimSpace(media), TypeStreamed) {
		return decodeStreamed(payload)
	}
	payload = bytes.TrimSpace(payload)
	if len(payload) > 0 && payload[0] == '{' {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(payload, &object); err != nil {
			return nil, errors.New("reading the response: not valid JSON")
		}
		if _, ok := object["statusCode"]; ok {
			return decodeObject(object)
		}
		return inferred(payload), nil
	}
	if !json.Valid(payload) {
		return nil, errors.New("reading the response: not valid JSON")
	}
	if payload[0] == '"' {
		var s string
		if err := json.Unmarshal(payload, &s); err != nil {
			return nil, errors.New("reading the response: not a valid string")
		}
		return inferred([]byte(s)), nil
	}
	return inferred(payload), nil
}

func inferred(body []byte) *HTTPResponse {
	return &HTTPResponse{Status: 200, Header: []HTTPHeader{{"content-type", "application/json"}}, Body: body}
}

func decodeObject(object map[string]json.RawMessage) (*HTTPResponse, error) {
	r := &HTTPResponse{}
	var err error
	if r.Status, err = statusOf(object["statusCode"]); err != nil {
		return nil, err
	}
	if err = r.readHeaders(object); err != nil {
		return nil, err
	}
	var body string
	if err = optional(object, "body", &body); err != nil {
		return nil, err
	}
	var encoded bool
	if err = optional(object, "isBase64Encoded", &encoded); err != nil {
		return nil, err
	}
	if !encoded {
		r.Body = []byte(body)
		return r, nil
	}
	if r.Body, err = base64.StdEncoding.DecodeString(body); err != nil {
		return nil, errors.New("reading the response: isBase64Encoded is true and body is not base64")
	}
	return r, nil
}

// decodeStreamed splits a buffered streaming response; without a status in the prelude it is 200.
func decodeStreamed(payload []byte) (*HTTPResponse, error) {
	prelude, body, found := bytes.Cut(payload, make([]byte, 8))
	if !found {
		return nil, errors.New("reading the response: the prelude does not end")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(prelude, &object); err != nil {
		return nil, errors.New("reading the response: the prelude is not a JSON object")
	}
	r := &HTTPResponse{Status: 200, Body: body}
	if raw, ok := object["statusCode"]; ok {
		var err error
		if r.Status, err = statusOf(raw); err != nil {
			return nil, err
		}
	}
	if err := r.readHeaders(object); err != nil {
		return nil, err
	}
	return r, nil
}

// statusOf takes a number or a string with one in it.
func statusOf(raw json.RawMessage) (int, error) {
	text := strings.Trim(string(raw), `"`)
	status, err := strconv.ParseFloat(text, 64)
	if err != nil || status != float64(int(status)) || status < 200 || status > 599 {
		return 0, errors.New("reading the response: statusCode is not a number from 200 to 599")
	}
	return int(status), nil
}

// optional decodes a member that may be missing or null.
func optional(object map[string]json.RawMessage, name string, into any) error {
	raw, ok := object[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("reading the response: %s has the wrong type", name)
	}
	return nil
}

func (r *HTTPResponse) readHeaders(object map[string]json.RawMessage) error {
	var single map[string]json.RawMessage
	var multi map[string][]json.RawMessage
	if err := optional(object, "headers", &single); err != nil {
		return err
	}
	if err := optional(object, "multiValueHeaders", &multi); err != nil {
		return err
	}
	if err := optional(object, "cookies", &r.Cookies); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(multi)) {
		for _, raw := range multi[name] {
			if err := r.add(name, raw); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(single)) {
		if err := r.add(name, single[name]); err != nil {
			return err
		}
	}
	return r.settle()
}

// add takes one header. Strings, numbers and booleans are values; null is none.
func (r *HTTPResponse) add(name string, raw json.RawMessage) error {
	if !headerName(name) {
		return errors.New("reading the response: a header name is not a token")
	}
	value := string(raw)
	switch {
	case value == "null":
		return nil
	case value[0] == '"':
		if err := json.Unmarshal(raw, &value); err != nil {
			return errors.New("reading the response: a header value is not a valid string")
		}
	case value[0] == '{' || value[0] == '[':
		return errors.New("reading the response: a header value is an object or a list")
	}
	if name = strings.ToLower(name); name == "set-cookie" {
		r.Cookies = append(r.Cookies, value)
	} else if !dropResponse(name) {
		r.Header = append(r.Header, HTTPHeader{name, value})
	}
	return nil
}

// settle sorts and joins the lines, and checks every value and the total size.
func (r *HTTPResponse) settle() error {
	slices.SortStableFunc(r.Header, func(a, b HTTPHeader) int { return strings.Compare(a.Name, b.Name) })
	size, out := 0, r.Header[:0]
	for _, h := range r.Header {
		size += len(h.Name) + len(h.Value)
		if !headerValue(h.Value) {
			return errors.New("reading the response: a header value holds a control character")
		}
		if n := len(out); n > 0 && out[n-1].Name == h.Name {
			out[n-1].Value += ", " + h.Value
			continue
		}
		out = append(out, h)
	}
	r.Header = out
	for _, c := range r.Cookies {
		size += len("set-cookie") + len(c)
		if !headerValue(c) {
			return errors.New("reading the response: a cookie holds a control character")
		}
	}
	if size > maxResponseHeader {
		return fmt.Errorf("reading the response: %d bytes of headers, at most %d are allowed", size, maxResponseHeader)
	}
	return nil
}
