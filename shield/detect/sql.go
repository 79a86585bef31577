package detect

import "bytes"

// maxLogin bounds the names that are looked at as one.
const maxLogin = 128

// login looks for a name whose quote ends the string that it is put into, and a mark behind it that makes a comment of the rest of the
// statement: the password is not asked for any more. The one quote is what tells it from a text that quotes something; behind a number it is a measure.
func (l *look) login() {
	v := bytes.TrimSpace(l.Value)
	if len(v) > maxLogin {
		return
	}
	at := bytes.IndexAny(v, `'"`)
	if at < 1 || len(bytes.Trim(v[:at], "0123456789.,")) == 0 || bytes.ContainsAny(v[:at], " \t\r\n(;,") || bytes.ContainsAny(v[at+1:], `'"`) {
		return
	}
	switch rest := bytes.TrimLeft(v[at+1:], ") \t"); string(rest) {
	case "#", "--", "-- -", "--+", "/*":
		l.hit("sql-comment", SQL, Sure)
	}
}
