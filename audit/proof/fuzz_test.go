package proof

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

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
	var front Frontier
	var body []byte
	for i := range 3 {
		data := fmt.Appendf(nil, `{"id":"event-%d","text":"\"}"}`, i)
		front.Add(tlog.RecordHash(data), nil)
		body = append(body, AppendRecord(nil, uint64(i)+1, tlog.RecordHash(data), data)...)
	}
	c, err := Sign(signer, 3, front.Root(), time.Unix(1777896000, 0))
	if err != nil {
		f.Fatal(err)
	}
	head, err1 := Head(public, c.Note)
	mark, err2 := Mark(c.Note)
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
