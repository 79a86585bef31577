package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"errors"

	"casemate"
)

// Reply is an answer in the words of a protocol.
type Reply struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Refusal writes an error as the service itself would, whose XML has that namespace.
func (p Protocol) Refusal(e *casemate.Error, namespace, id string) Reply {
	code := p.code(e)
	r := Reply{Status: p.status(e.Code), Header: map[string]string{"X-Amzn-Requestid": id}}
	switch p {
	case query, restXML:
		if _, word := p.queueRefusal(e); queueWords[code] != "" {
			code = word
		}
		r.Header["Content-Type"] = "text/xml"
		r.Body = document(xmlError{Type: fault(e.Code), Code: code, Message: e.Message}, namespace, id)
	case ec2:
		r.Header["Content-Type"] = "text/xml;charset=UTF-8"
		r.Body = marshal(ec2Error{Code: code, Message: e.Message, ID: id})
	case s3:
		r.Header["Content-Type"], r.Header["X-Amz-Request-Id"] = "application/xml", id
		r.Body = marshal(s3Error{Code: code, Message: e.Message, ID: id})
	case cbor:
		r.Header["Content-Type"], r.Header["Smithy-Protocol"] = "application/cbor", "rpc-v2-cbor"
		r.Body = cborMap("__type", code, "message", e.Message)
	default:
		r.Header["Content-Type"], r.Header["X-Amzn-Errortype"] = p.contentType(), code
		r.Body, _ = json.Marshal(map[string]string{"__type": code, "message": e.Message}) // two strings always encode
		if p == jsonQuery {
			code, word := p.queueRefusal(e)
			r.Header["X-Amzn-Errortype"], r.Header["X-Amzn-Query-Error"] = code, word+";"+fault(e.Code)
			r.Body, _ = json.Marshal(map[string]string{"__type": code, "message": e.Message})
		}
	}
	return r
}

func (p Protocol) contentType() string {
	switch p {
	case json10, jsonQuery:
		return "application/x-amz-json-1.0"
	case json11:
		return "application/x-amz-json-1.1"
	}
	return "application/json"
}

// Success writes what an operation answered: a JSON object, or nothing.
func (p Protocol) Success(operation, namespace, id string, payload []byte) (Reply, error) {
	r := Reply{Status: 200, Header: map[string]string{"X-Amzn-Requestid": id, "Content-Type": p.contentType()}, Body: payload}
	switch {
	case p == query:
		var err error
		r.Header["Content-Type"] = "text/xml"
		r.Body, err = queryAnswer(operation, namespace, id, payload)
		return r, err
	case p != restJSON && !p.json():
		return r, errors.New("an operation is answered in a protocol that it does not speak")
	case len(payload) == 0:
		r.Body = []byte("{}")
	}
	return r, nil
}

// fault says whose an error is.
func fault(c casemate.Code) string {
	if c.HTTP() < 500 {
		return "Sender"
	}
	return "Receiver"
}

type xmlError struct {
	XMLName xml.Name `xml:"Error"`
	Type    string
	Code    string
	Message string
}

type ec2Error struct {
	XMLName xml.Name `xml:"Response"`
	Code    string   `xml:"Errors>Error>Code"`
	Message string   `xml:"Errors>Error>Message"`
	ID      string   `xml:"RequestID"`
}

type s3Error struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	ID      string `xml:"RequestId"`
}

// marshal is an XML document of a fixed shape; strings always encode.
func marshal(v any) []byte {
	b, _ := xml.Marshal(v)
	return append([]byte(xml.Header), b...)
}

// document wraps an error as the query protocol does.
func document(e xmlError, namespace, id string) []byte {
	inner, _ := xml.Marshal(e)
	var b bytes.Buffer
	if b.WriteString(xml.Header + "<ErrorResponse"); namespace != "" {
		b.WriteString(` xmlns="` + namespace + `"`)
	}
	b.WriteString(">")
	b.Write(inner)
	element(&b, "RequestId", id)
	b.WriteString("</ErrorResponse>")
	return b.Bytes()
}

func element(b *bytes.Buffer, name, text string) {
	b.WriteString("<" + name + ">")
	_ = xml.EscapeText(b, []byte(text)) // a Buffer takes everything
	b.WriteString("</" + name + ">")
}

// queryAnswer turns an operation's JSON into the query protocol's XML: members become elements, lists become member
// elements (https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#response-serialization).
func queryAnswer(operation, namespace, id string, payload []byte) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<" + operation + `Response xmlns="` + namespace + `">`)
	if len(payload) > 0 {
		d := json.NewDecoder(bytes.NewReader(payload))
		d.UseNumber()
		if err := xmlValue(&b, d, operation+"Result"); err != nil {
			return nil, err
		}
	}
	b.WriteString("<ResponseMetadata>")
	element(&b, "RequestId", id)
	b.WriteString("</ResponseMetadata></" + operation + "Response>")
	return b.Bytes(), nil
}

// xmlValue writes the next JSON value as an element called name, in the order of its members.
func xmlValue(b *bytes.Buffer, d *json.Decoder, name string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		b.WriteString("<" + name + ">")
		for d.More() {
			inner := "member"
			if t == '{' {
				key, err := d.Token()
				if err != nil {
					return err
				}
				inner, _ = key.(string) // keys of an object are
			}
			if err := xmlValue(b, d, inner); err != nil {
				return err
			}
		}
		b.WriteString("</" + name + ">")
		_, err = d.Token()
		return err
	case string:
		element(b, name, t)
	case json.Number:
		element(b, name, t.String())
	case bool:
		if t {
			element(b, name, "true")
		} else {
			element(b, name, "false")
		}
	}
	return nil // null is no element
}

// cborMap is a map of text to text in CBOR (RFC 8949): all that an error needs.
func cborMap(pairs ...string) []byte {
	b := []byte{0xa0 | byte(len(pairs)/2)}
	for _, s := range pairs {
		switch n := len(s); {
		case n < 24:
			b = append(b, 0x60|byte(n))
		case n < 256:
			b = append(b, 0x78, byte(n))
		default:
			s = s[:min(n, 1<<16-1)]
			b = binary.BigEndian.AppendUint16(append(b, 0x79), uint16(len(s)))
		}
		b = append(b, s...)
	}
	return b
}
