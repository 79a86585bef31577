package casemate

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// NewID makes a request id: a random version-4 UUID (RFC 9562), the form Lambda's request ids have.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// Place is where a node's resources live in ARN terms.
type Place struct {
	Region, Account string
}

// DefaultPlace is used where an operator names none. Twelve zeros are no real AWS account.
var DefaultPlace = Place{Region: "us-east-1", Account: "000000000000"}

// FunctionARN is arn:aws:lambda:<region>:<account>:function:<name>.
func (p Place) FunctionARN(name string) string {
	return "arn:aws:lambda:" + p.Region + ":" + p.Account + ":function:" + name
}

// RouteARN is the execute-api ARN of a request: arn:aws:execute-api:<region>:<account>:<app>/$default/<METHOD>/<path>.
func (p Place) RouteARN(app, method, path string) string {
	return "arn:aws:execute-api:" + p.Region + ":" + p.Account + ":" + app + "/$default/" + method + "/" + strings.TrimPrefix(path, "/")
}

// PlatformARN names a resource of Casemate itself: arn:aws:casemate:<region>:<account>:<kind>/<name>.
func (p Place) PlatformARN(kind, name string) string {
	return "arn:aws:casemate:" + p.Region + ":" + p.Account + ":" + kind + "/" + name
}

// RoleARN is arn:aws:iam::<account>:role/<name>.
func (p Place) RoleARN(name string) string { return "arn:aws:iam::" + p.Account + ":role/" + name }
