package lambda

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"casemate"
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

// maxResponseHeader bounds names and values of all headers and cookies together, in bytes: API Gateway's bound.
const maxResponseHeader = 10240

// DecodeHTTP reads a function's answer as API Gateway and function URLs do: an object with statusCode is a response;
// any other JSON is a 200 whose body is that JSON, a string without its quotes. An error means 502: its text is for the
// operator and quotes nothing that the function returned. Headers that are the platform's are dropped; one that would
// break the response is an error.
func DecodeHTTP(contentType string, payload []byte) (*casemate.Answer, error) {
	if HasPrelude(contentType) {
		return decodeStreamed(payload)
	}
	payload = bytes.TrimSpace(payload)
	if !json.Valid(payload) {
		return nil, errors.New("reading the response: not valid JSON")
	}
	switch payload[0] {
	case '{':
		if o, err := readParts(payload); err != nil || o.status != nil {
			return o.response(err)
		}
	case '"':
		text, err := unquote(payload)
		if err != nil {
			return nil, errors.New("reading the response: not a valid string")
		}
		return inferred(text), nil
	}
	return inferred(payload), nil
}

func inferred(body []byte) *casemate.Answer {
	return &casemate.Answer{Status: 200, Header: []casemate.HeaderLine{{Name: "content-type", Value: "application/json"}}, Body: body}
}

// parts are the members of a response object, raw; nil where one is missing or null.
type parts struct {
	status, headers, multi, cookies, body, encoded []byte
}

func readParts(object []byte) (p parts, err error) {
	err = members(object, func(name string, raw []byte) error {
		if name == "statusCode" { // null is no status, and no response either
			p.status = raw
			return nil
		}
		if string(raw) == "null" {
			raw = nil
		}
		switch name {
		case "headers":
			p.headers = raw
		case "multiValueHeaders":
			p.multi = raw
		case "cookies":
			p.cookies = raw
		case "body":
			p.body = raw
		case "isBase64Encoded":
			p.encoded = raw
		}
		return nil
	})
	return p, err
}

// response reads the parts of a response that came whole; err is what went wrong on the way to them.
func (p parts) response(err error) (*casemate.Answer, error) {
	if err != nil {
		return nil, errors.New("reading the response: a member's name is not a valid string")
	}
	r := &casemate.Answer{}
	if r.Status, err = statusOf(p.status); err != nil {
		return nil, err
	}
	if err = readHeaders(r, p); err != nil {
		return nil, err
	}
	if p.body != nil {
		if r.Body, err = unquote(p.body); err != nil {
			return nil, errors.New("reading the response: body is not a string")
		}
	}
	switch string(p.encoded) {
	case "", "false":
		return r, nil
	case "true":
	default:
		return nil, errors.New("reading the response: isBase64Encoded is not a boolean")
	}
	text := r.Body
	r.Body = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(r.Body, text)
	if err != nil {
		return nil, errors.New("reading the response: isBase64Encoded is true and body is not base64")
	}
	r.Body = r.Body[:n]
	return r, nil
}

// statusOf takes a number or a string with one in it.
func statusOf(raw []byte) (int, error) {
	text := strings.Trim(string(raw), `"`)
	status, err := strconv.ParseFloat(text, 64)
	if err != nil || status != float64(int(status)) || status < 200 || status > 599 {
		return 0, errors.New("reading the response: statusCode is not a number from 200 to 599")
	}
	return int(status), nil
}

func readHeaders(r *casemate.Answer, p parts) error {
	if p.cookies != nil {
		err := elements(p.cookies, func(raw []byte) error {
			cookie, err := unquote(raw)
			r.Cookies = append(r.Cookies, string(cookie))
			return err
		})
		if err != nil {
			return errors.New("reading the response: cookies is not a list of strings")
		}
	}
	if p.multi != nil {
		err := members(p.multi, func(name string, list []byte) error {
			return elements(list, func(raw []byte) error { return addHeader(r, name, raw) })
		})
		if err != nil {
			return fmt.Errorf("reading the response: multiValueHeaders: %w", err)
		}
	}
	if p.headers != nil {
		if err := members(p.headers, func(name string, raw []byte) error { return addHeader(r, name, raw) }); err != nil {
			return fmt.Errorf("reading the response: headers: %w", err)
		}
	}
	return settleHeaders(r)
}

// addHeader takes one header. Strings, numbers and booleans are values; null is none.
func addHeader(r *casemate.Answer, name string, raw []byte) error {
	if !headerName(name) {
		return errors.New("a name is not a token")
	}
	value := string(raw)
	switch {
	case value == "null":
		return nil
	case value[0] == '"':
		text, err := unquote(raw)
		if err != nil {
			return err
		}
		value = string(text)
	case value[0] == '{' || value[0] == '[':
		return errors.New("a value is an object or a list")
	}
	if name = strings.ToLower(name); name == "set-cookie" {
		r.Cookies = append(r.Cookies, value)
	} else if !dropResponse(name) {
		r.Header = append(r.Header, casemate.HeaderLine{Name: name, Value: value})
	}
	return nil
}

// settleHeaders sorts and joins the lines, and checks every value and the total size.
func settleHeaders(r *casemate.Answer) error {
	slices.SortStableFunc(r.Header, func(a, b casemate.HeaderLine) int { return strings.Compare(a.Name, b.Name) })
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
