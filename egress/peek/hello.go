package peek

import "strings"

// Bounds of a handshake's first message. Those of today's clients, post-quantum key shares included, are below 4 KB.
const (
	MaxHello  = 16 << 10 // of the message
	maxRecord = 16 << 10 // of one record that carries it (RFC 8446, section 5.1)
)

// Hello reads the server name of a TLS ClientHello (RFC 8446, section 4.1.2; RFC 6066, section 3) at the start of data,
// also when it is cut into several records. more says that it goes on after data; then there is no name and no error
// yet. The name is lower case as it came, without a last dot.
func Hello(data []byte) (name string, more bool, err error) {
	message, err := handshake(data)
	if err == nil {
		name, err = serverName(message)
	}
	if err == errTruncated {
		return "", true, nil
	}
	return name, false, err
}

// handshake puts the records together that carry the first message, and gives its body.
func handshake(data []byte) ([]byte, error) {
	var message []byte
	for records := 0; ; records++ {
		if want := 4 + messageLen(message); len(message) >= 4 && len(message) >= want {
			return message[4:want], nil
		}
		if records == 64 {
			return nil, ErrHello
		}
		if len(data) < 5 {
			if len(data) > 0 && data[0] != 0x16 || len(data) > 1 && data[1] != 3 {
				return nil, ErrHello
			}
			return nil, errTruncated
		}
		n := int(data[3])<<8 | int(data[4])
		if data[0] != 0x16 || data[1] != 3 || n == 0 || n > maxRecord {
			return nil, ErrHello
		}
		part := data[5:min(5+n, len(data))]
		message = append(message, part...)
		if len(message) > 0 && message[0] != 1 || messageLen(message) > MaxHello {
			return nil, ErrHello
		}
		if len(part) < n && (len(message) < 4 || len(message) < 4+messageLen(message)) {
			return nil, errTruncated
		}
		data = data[5+len(part):]
	}
}

// messageLen is the length in a handshake message's head, 0 while it is not there.
func messageLen(message []byte) int {
	if len(message) < 4 {
		return 0
	}
	return int(message[1])<<16 | int(message[2])<<8 | int(message[3])
}

// The extensions that matter here.
const (
	extServerName = 0
	extECH        = 0xfe0d // draft-ietf-tls-esni
)

// serverName walks a ClientHello. Every length must fit exactly.
func serverName(hello []byte) (string, error) {
	c := cursor{rest: hello}
	version := c.number(2)
	c.skip(32) // random
	c.vector(1)
	c.vector(2) // cipher suites
	c.vector(1) // compression
	if c.bad || version < 0x0301 {
		return "", ErrHello
	}
	if len(c.rest) == 0 {
		return "", ErrNoName
	}
	exts := cursor{rest: c.vector(2)}
	if c.bad || len(c.rest) != 0 {
		return "", ErrHello
	}
	name, found := "", false
	for len(exts.rest) > 0 {
		kind := exts.number(2)
		body := exts.vector(2)
		switch {
		case exts.bad, kind == extServerName && found:
			return "", ErrHello
		case kind == extECH:
			return "", ErrHidden
		case kind == extServerName:
			var ok bool
			if name, ok = hostName(body); !ok {
				return "", ErrHello
			}
			found = true
		}
	}
	if !found {
		return "", ErrNoName
	}
	return name, nil
}

// hostName reads a server_name extension: a list of one host name. Other kinds of names were never defined.
func hostName(body []byte) (string, bool) {
	c := cursor{rest: body}
	list := cursor{rest: c.vector(2)}
	kind := list.number(1)
	raw := list.vector(2)
	if c.bad || list.bad || len(c.rest) != 0 || len(list.rest) != 0 || kind != 0 || len(raw) == 0 || len(raw) > 255 {
		return "", false
	}
	for _, b := range raw {
		if b <= ' ' || b >= 0x7f {
			return "", false
		}
	}
	return Canonical(string(raw)), true
}

// Canonical is a host name as names are compared here: ASCII letters in lower case, one last dot taken off.
func Canonical(name string) string {
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// cursor takes a message apart from its start. A take that does not fit makes it bad, and everything after that empty.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) skip(n int) []byte {
	if n > len(c.rest) {
		c.rest, c.bad = nil, true
		return nil
	}
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) number(size int) (n int) {
	for _, b := range c.skip(size) {
		n = n<<8 | int(b)
	}
	return n
}

// vector takes bytes with their length in front, in size bytes.
func (c *cursor) vector(size int) []byte { return c.skip(c.number(size)) }
