package shield

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"

	"casemate"
)

// Decode undoes a Content-Encoding: "", "identity", "gzip", "x-gzip" or "deflate" (the zlib format of RFC 9110 section
// 8.4.1.2). More than max bytes, before or after, is TooLarge, found without building them; a max of 0 or less takes
// nothing. An encoding that is not known, stacked encodings and damaged or trailing bytes are Invalid.
func Decode(encoding string, raw []byte, max int64) ([]byte, error) {
	if int64(len(raw)) > max {
		return nil, tooLarge(max)
	}
	src := bytes.NewReader(raw)
	var (
		r   io.Reader
		err error
	)
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return raw, nil
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(src)
	case "deflate":
		r, err = zlib.NewReader(src)
	default:
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "Content-Encoding", Rule: "gzip, deflate or identity",
			Message: "this content encoding is not taken", Hint: "send the body as gzip, deflate or plain"}
	}
	if err != nil {
		return nil, damaged(err)
	}
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, max+1))
	switch {
	case n > max:
		return nil, tooLarge(max)
	case err != nil:
		return nil, damaged(err)
	case src.Len() > 0:
		return nil, damaged(errors.New("bytes behind the end"))
	}
	return out.Bytes(), nil
}

func tooLarge(max int64) error {
	return &casemate.Error{Code: casemate.TooLarge, Rule: fmt.Sprintf("body <= %d bytes", max),
		Message: fmt.Sprintf("the body is larger than %d bytes", max), Hint: "send less, or raise max_body of the route"}
}

func damaged(err error) error {
	return &casemate.Error{Code: casemate.Invalid, Field: "Content-Encoding", Rule: "well-formed",
		Message: "the body is not what its content encoding says", Hint: "encode it again", Err: err}
}
