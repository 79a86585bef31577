// Package peek reads which host a client's first bytes are for, TLS and HTTP/1 alike, without changing one of them. It is
// strict where a server could read the bytes in another way: what is ambiguous is refused, never guessed.
package peek

import "errors"

// A reason why a connection must end. The texts are shown to people and stable.
var (
	ErrHello     = errors.New("the TLS handshake is malformed or too large")
	ErrNoName    = errors.New("the TLS handshake names no host (no SNI)")
	ErrHidden    = errors.New("the TLS handshake hides its host (encrypted client hello)")
	ErrOldTLS    = errors.New("the TLS handshake is one of SSL 2.0") // some old servers still answer it
	ErrRequest   = errors.New("the HTTP request is malformed")
	ErrFraming   = errors.New("the length of the HTTP request is ambiguous")
	ErrTooLong   = errors.New("the head of the HTTP request is too long")
	ErrNoHost    = errors.New("the HTTP request does not name one host")
	ErrTunnel    = errors.New("the HTTP request asks for a tunnel (CONNECT)")
	ErrPrior     = errors.New("HTTP/2 without TLS cannot be checked")
	errTruncated = errors.New("more bytes are needed")
)
