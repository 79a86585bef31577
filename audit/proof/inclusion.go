package proof

import (
	"encoding/base64"
	"errors"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Proof shows that one record is in the log that a checkpoint signs, without the rest of the log.
type Proof struct {
	Key        string   `json:"key"`
	Checkpoint string   `json:"checkpoint"`
	Index      int64    `json:"index"` // from 0
	Record     string   `json:"record"`
	Path       []string `json:"path"` // RFC 6962 audit path, base64
}

// VerifyProof checks p against the trusted key (empty: the proof's own, which only shows that p is consistent) and
// returns the checkpoint it stands under.
func VerifyProof(p Proof, key string) (Checkpoint, error) {
	bad := func(err error) (Checkpoint, error) {
		return Checkpoint{}, &Tampering{Kind: "edited", First: p.Index + 1, Last: p.Index + 1, Detail: "proof: " + err.Error()}
	}
	if key != "" && key != p.Key {
		return bad(errors.New("it carries another key than the trusted one"))
	}
	v, err := note.NewVerifier(p.Key)
	if err != nil {
		return bad(err)
	}
	c, err := Open([]byte(p.Checkpoint), v)
	if err != nil {
		return bad(err)
	}
	if len(p.Path) > 64 {
		return bad(errors.New("path too long"))
	}
	var path tlog.RecordProof
	for _, s := range p.Path {
		raw, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil || len(raw) != tlog.HashSize {
			return bad(errors.New("malformed path"))
		}
		path = append(path, tlog.Hash(raw))
	}
	if err := tlog.CheckRecord(path, c.Size, c.root, p.Index, tlog.RecordHash([]byte(p.Record))); err != nil {
		return bad(err)
	}
	return c, nil
}
