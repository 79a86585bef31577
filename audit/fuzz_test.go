package audit

import (
	"bytes"
	"crypto/rand"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// FuzzVerify holds that no bytes but the export's own verify under its key.
func FuzzVerify(f *testing.F) {
	secret, public, err := note.GenerateKey(rand.Reader, "casemate/audit")
	if err != nil {
		f.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		f.Fatal(err)
	}
	var front frontier
	var body []byte
	for i := range 3 {
		data := appendRecord(nil, record(i))
		front.add(tlog.RecordHash(data), nil)
		body = append(body, appendRecordLine(nil, uint64(i)+1, tlog.RecordHash(data), data)...)
	}
	c, err := signCheckpoint(signer, 3, front.root(), noon)
	if err != nil {
		f.Fatal(err)
	}
	head, err1 := encodeLine(exportHead{exportFormat, public, c.Note})
	mark, err2 := encodeLine(exportCheckpoint{c.Note})
	if err1 != nil || err2 != nil {
		f.Fatal(err1, err2)
	}
	good := append(append(head, body...), mark...)
	f.Add(good)
	f.Add(bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")))
	f.Add(good[:len(good)-1])
	f.Add([]byte(`{"format":"casemate-audit-export/1","key":"","checkpoint":""}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Verify(bytes.NewReader(b), Trust{Key: public}); err == nil && !bytes.Equal(b, good) {
			t.Fatalf("verified: %q", b)
		}
	})
}

// FuzzTable holds that no content of the in-flight file crashes the start or is passed over.
func FuzzTable(f *testing.F) {
	m := make([]byte, headerSize+2*slotSize)
	t := newTable(&mapping{mem: m}, 2)
	if err := t.take(record(1), 7); err != nil {
		f.Fatal(err)
	}
	f.Add(m[headerSize : headerSize+slotSize])
	f.Add(bytes.Repeat([]byte{0xff}, slotSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := make([]byte, headerSize+slotSize)
		n := copy(mem[headerSize:], b)
		left := leftovers(mem)
		if occupied := n >= 4 && !bytes.Equal(mem[headerSize:headerSize+4], make([]byte, 4)) || n < 4 && len(bytes.Trim(b, "\x00")) > 0; occupied != (len(left) == 1) {
			t.Fatalf("occupied %v, leftovers %v", occupied, left)
		}
	})
}
