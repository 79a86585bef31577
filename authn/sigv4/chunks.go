package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"casemate"
)

// Bounds of a body in chunks. S3 takes none smaller than 8 KiB but the last
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html); each costs a signature.
const (
	leastChunk  = 8 << 10
	mostChunk   = 16 << 20
	mostLine    = 4 << 10 // bytes of a chunk's head, or of a trailer
	mostTrailer = 16      // trailers
)

// chunks reads a body that is signed in chunks (Chunked, ChunkedTrailer).
type chunks struct {
	g        *Signature
	key      [sha256.Size]byte
	from     *bufio.Reader
	last     string   // signature that the next one continues
	left     int64    // bytes that are still to come, as the request says
	trailers []string // names that the request announced
	short    bool     // a chunk was smaller than any but the last may be
	ready    []byte   // verified
	err      error    // sticky
}

// Decoded gives the length that a body in chunks says it has without them; an error when it does not say it.
func Decoded(s *casemate.Signed) (int64, error) {
	text, err := single(s, "x-amz-decoded-content-length")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, errors.New("malformed x-amz-decoded-content-length")
	}
	return n, nil
}

// Chunks gives the body without its chunks. It gives no byte whose signature it has not verified; g itself must have been
// verified with the same key. A chunk that does not hold, one that is missing and what follows the last are an
// *casemate.Error.
func (g *Signature) Chunks(s *casemate.Signed, key [sha256.Size]byte, body io.Reader) (io.Reader, error) {
	if g.Claimed != Chunked && g.Claimed != ChunkedTrailer {
		return nil, plainly("", "bodies are not taken in this form", "sign the body's SHA-256, or each of its chunks")
	}
	n, err := Decoded(s)
	if err != nil {
		return nil, err
	}
	c := &chunks{g: g, key: key, from: bufio.NewReaderSize(body, mostLine), last: hex.EncodeToString(g.mac[:]), left: n}
	for _, list := range s.Header["x-amz-trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			c.trailers = append(c.trailers, strings.ToLower(strings.TrimSpace(name)))
		}
	}
	if (g.Claimed == ChunkedTrailer) != (len(c.trailers) > 0) || len(c.trailers) > mostTrailer {
		return nil, errors.New("the trailers are not the announced ones")
	}
	return c, nil
}

// Read implements io.Reader.
func (c *chunks) Read(p []byte) (int, error) {
	for len(c.ready) == 0 && c.err == nil {
		c.err = c.next()
		if c.err != nil && c.err != io.EOF {
			if e := casemate.AsError(c.err); e.Code == casemate.Fault {
				c.err = &casemate.Error{Code: casemate.Unauthenticated, AWS: "SignatureDoesNotMatch", Message: "a chunk of the body is not as it was signed",
					Hint: "sign every chunk, in order", Err: c.err}
			}
		}
	}
	if len(c.ready) == 0 {
		return 0, c.err
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// next reads and verifies one chunk; io.EOF after the last.
func (c *chunks) next() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	text, given, ok := strings.Cut(line, ";chunk-signature=")
	size, err := strconv.ParseUint(text, 16, 31)
	switch {
	case !ok || err != nil || len(text) > 8:
		return errors.New("malformed head of a chunk")
	case size > mostChunk || int64(size) > c.left:
		return errors.New("a chunk is longer than the body")
	case size > 0 && c.short:
		return errors.New("a chunk before the last is smaller than 8 KiB")
	case size == 0 && c.left != 0:
		return errors.New("the body ends early")
	}
	c.short = size < leastChunk
	var data bytes.Buffer // grows with what comes, not with what is announced
	if _, err := io.CopyN(&data, c.from, int64(size)); err != nil {
		return early(err)
	}
	sum := sha256.Sum256(data.Bytes())
	if err := c.holds(Algorithm+"-PAYLOAD", Empty+"\n"+hex.EncodeToString(sum[:]), given); err != nil {
		return err
	}
	if size == 0 {
		return c.finish()
	}
	c.left -= int64(size)
	c.ready = data.Bytes()
	return c.blank()
}

// finish reads what follows the last chunk: trailers with a signature of their own, where they were announced, and nothing
// else.
func (c *chunks) finish() error {
	if len(c.trailers) == 0 {
		if err := c.blank(); err != nil {
			return err
		}
		return c.over()
	}
	var canonical strings.Builder
	var names []string
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		name, value, ok := strings.Cut(line, ":")
		if name = strings.ToLower(strings.TrimSpace(name)); !ok || len(names) > len(c.trailers) {
			return errors.New("malformed trailer")
		}
		if name == "x-amz-trailer-signature" {
			if err := c.holds(Algorithm+"-TRAILER", hexSum(canonical.String()), strings.TrimSpace(value)); err != nil {
				return err
			}
			break
		}
		names = append(names, name)
		canonical.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	if want := slices.Sorted(slices.Values(c.trailers)); !slices.Equal(slices.Sorted(slices.Values(names)), want) {
		return errors.New("the trailers are not the announced ones")
	}
	if err := c.blank(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // some clients end with their last trailer
		return err
	}
	return c.over()
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// holds verifies a signature that continues the last one.
func (c *chunks) holds(algorithm, what, given string) error {
	want := hex.EncodeToString(mac(c.key[:], algorithm+"\n"+c.g.scope()+"\n"+c.last+"\n"+what))
	if subtle.ConstantTimeCompare([]byte(want), []byte(given)) != 1 {
		return ErrMismatch
	}
	c.last = want
	return nil
}

// line reads up to a line end, which it leaves out.
func (c *chunks) line() (string, error) {
	b, err := c.from.ReadSlice('\n')
	if err != nil {
		return "", early(err)
	}
	text, ok := strings.CutSuffix(string(b), "\r\n")
	if !ok {
		return "", errors.New("malformed line of a body in chunks")
	}
	return text, nil
}

func (c *chunks) blank() error {
	text, err := c.line()
	if err == nil && text != "" {
		err = errors.New("a chunk is longer than it says")
	}
	return err
}

// over makes sure that nothing follows.
func (c *chunks) over() error {
	if _, err := c.from.ReadByte(); err == nil {
		return errors.New("something follows the last chunk")
	} else if err != io.EOF {
		return err
	}
	return io.EOF
}

func early(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
