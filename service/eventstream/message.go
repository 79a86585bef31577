// Package eventstream writes messages of application/vnd.amazon.eventstream
// (https://smithy.io/2.0/aws/amazon-eventstream.html): what answers that come in parts are made of.
package eventstream

import (
	"encoding/binary"
	"hash/crc32"
)

// ContentType is the media type of such an answer.
const ContentType = "application/vnd.amazon.eventstream"

// MaxPayload is the longest payload that Append takes, in bytes; longer ones go in several messages.
const MaxPayload = 1 << 20

const stringType = 7

// Header is one header of a message. Name has 255 bytes at most, Value 32,767.
type Header struct{ Name, Value string }

// Event are the headers of an event of this type, whose payload is of this media type.
func Event(name, mediaType string) []Header {
	return []Header{{":message-type", "event"}, {":event-type", name}, {":content-type", mediaType}}
}

// Append writes one message behind dst: lengths, their checksum, headers, payload, and the checksum of all of it. What does not
// fit its bound is cut: callers keep to the bounds.
func Append(dst []byte, headers []Header, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, 12)...)
	for _, h := range headers {
		name, value := h.Name[:min(len(h.Name), 255)], h.Value[:min(len(h.Value), 1<<15-1)]
		dst = append(append(dst, byte(len(name))), name...)
		dst = binary.BigEndian.AppendUint16(append(dst, stringType), uint16(len(value)))
		dst = append(dst, value...)
	}
	payload = payload[:min(len(payload), MaxPayload)]
	head := len(dst) - start - 12
	binary.BigEndian.PutUint32(dst[start:], uint32(12+head+len(payload)+4))
	binary.BigEndian.PutUint32(dst[start+4:], uint32(head))
	binary.BigEndian.PutUint32(dst[start+8:], crc32.ChecksumIEEE(dst[start:start+8]))
	dst = append(dst, payload...)
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
}
