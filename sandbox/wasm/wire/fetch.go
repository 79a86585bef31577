package wire

import (
	"encoding/binary"
	"fmt"
)

// Bounds of an HTTP exchange of a guest, in bytes of its whole text.
const (
	SendLimit    = 1 << 20
	FetchedLimit = 6 << 20
	FetchedFrame = 1 + 4 + FetchedLimit // what its frame counts
)

// Code is what came of an HTTP request. Guests see it as the negative result of http_send; 0 is an answer.
type Code int32

// The codes.
const (
	CodeOK        Code = 0
	CodeRefused   Code = -1 // no grant, or a limit of the run is reached, or no event is handled
	CodeFailed    Code = -2 // it went wrong on its way
	CodeMalformed Code = -3 // this is no request
	CodeTooLarge  Code = -4 // the request or its answer
	CodeLate      Code = -5 // the event's time is over; no guest sees it
)

// Fetched is what came of an HTTP request.
type Fetched struct {
	Code Code
	Text []byte // of the answer, for CodeOK alone
}

// Frame is the whole frame.
func (f *Fetched) Frame() []byte {
	b := make([]byte, LengthSize, LengthSize+1+4+len(f.Text))
	b = binary.LittleEndian.AppendUint32(append(b, byte(KindFetched)), uint32(f.Code))
	return sealFrame(append(b, f.Text...))
}

// ParseFetched reads the body of a frame of its kind; the text is part of body.
func ParseFetched(body []byte) (Fetched, error) {
	if len(body) < 4 || len(body) > 4+FetchedLimit {
		return Fetched{}, fmt.Errorf("%w: fetched", ErrFrame)
	}
	f := Fetched{Code: Code(binary.LittleEndian.Uint32(body)), Text: body[4:]}
	if f.Code > CodeOK || f.Code < CodeLate || f.Code != CodeOK && len(f.Text) > 0 {
		return Fetched{}, fmt.Errorf("%w: fetched with code %d", ErrFrame, f.Code)
	}
	return f, nil
}
