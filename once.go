package casemate

import (
	"strings"
	"time"
)

// Once is what an event is known by that was accepted under an idempotency key. It holds digests alone.
type Once struct {
	Key    string    `json:"key"`    // of the caller, the function and the key
	Caller string    `json:"caller"` // of the caller
	Asked  string    `json:"asked"`  // of what was asked for: one that asks for something else is refused
	ID     string    `json:"id"`     // of the event
	At     time.Time `json:"at"`     // when it came in
}

// MaxIdempotencyKey bounds a key, in bytes.
const MaxIdempotencyKey = 255

// ParseIdempotencyKey reads the header of that name: a string of structured fields, in quotes
// (https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header), or the same without quotes, as most clients
// send it. Without quotes it holds no comma, quote or space.
func ParseIdempotencyKey(header string) (string, error) {
	s := strings.TrimSpace(header)
	quoted := len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"'
	if quoted {
		s = s[1 : len(s)-1]
	}
	key := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quoted && c == '\\' && i+1 < len(s) && (s[i+1] == '\\' || s[i+1] == '"'):
			i++
			c = s[i]
		case c < ' ' || c > '~' || c == '"' || quoted && c == '\\' || !quoted && (c == ' ' || c == ','):
			return "", badKey
		}
		key = append(key, c)
	}
	if len(key) == 0 || len(key) > MaxIdempotencyKey {
		return "", badKey
	}
	return string(key), nil
}

var badKey = &Error{Code: Invalid, Field: "Idempotency-Key", AWS: "InvalidParameterValueException", Message: "the idempotency key is malformed",
	Hint: `1 to 255 printable characters, such as a UUID: Idempotency-Key: "8e03978e-40d5-43e8-bc93-6894a57f9324"`}
