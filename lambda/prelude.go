package lambda

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"casemate"
)

// TypeStreamed is the content type of a response that starts with a JSON prelude and eight zero bytes.
const TypeStreamed = "application/vnd.awslambda.http-integration-response"

// maxPrelude bounds the JSON in front of a response, in bytes: its headers may take maxResponseHeader, and escapes make
// them longer.
const maxPrelude = 64 << 10

// The end of a prelude.
const preludeEnd = "\x00\x00\x00\x00\x00\x00\x00\x00"

// HasPrelude reports whether a response of this type starts with a prelude.
func HasPrelude(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), TypeStreamed)
}

// ReadPrelude reads the prelude of a response, of which there is as much as payload; body is where what comes after it
// begins. nil without an error: its end is not there yet. Without a status it is 200. Headers are held to what DecodeHTTP
// holds them to.
func ReadPrelude(payload []byte) (a *casemate.Answer, body int, err error) {
	end := bytes.Index(payload[:min(len(payload), maxPrelude+len(preludeEnd))], []byte(preludeEnd))
	switch {
	case end < 0 && len(payload) >= maxPrelude+len(preludeEnd):
		return nil, 0, errors.New("reading the response: the prelude is longer than " + strconv.Itoa(maxPrelude) + " bytes")
	case end < 0:
		return nil, 0, nil
	}
	prelude := bytes.TrimSpace(payload[:end])
	if !json.Valid(prelude) || prelude[0] != '{' {
		return nil, 0, errors.New("reading the response: the prelude is not a JSON object")
	}
	p, err := readParts(prelude)
	if err != nil {
		return nil, 0, errors.New("reading the response: the prelude is not a JSON object")
	}
	a = &casemate.Answer{Status: 200}
	if p.status != nil {
		if a.Status, err = statusOf(p.status); err != nil {
			return nil, 0, err
		}
	}
	if err := readHeaders(a, p); err != nil {
		return nil, 0, err
	}
	return a, end + len(preludeEnd), nil
}

// decodeStreamed reads a response with a prelude that came whole.
func decodeStreamed(payload []byte) (*casemate.Answer, error) {
	a, body, err := ReadPrelude(payload)
	switch {
	case err != nil:
		return nil, err
	case a == nil:
		return nil, errors.New("reading the response: the prelude does not end")
	}
	a.Body = payload[body:]
	return a, nil
}

// PlainHead is the head of a response that is streamed without a prelude: its body is whatever the function writes.
func PlainHead(contentType string) (*casemate.Answer, error) {
	if !headerValue(contentType) {
		return nil, errors.New("reading the response: the content type holds a control character")
	}
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	return &casemate.Answer{Status: 200, Header: []casemate.HeaderLine{{Name: "content-type", Value: contentType}}}, nil
}
