package audit

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"casemate/audit/proof"
)

// What the offline verifier says and takes; see package proof, which knows neither node nor store.
type (
	Checkpoint = proof.Checkpoint
	Tampering  = proof.Tampering
	Trust      = proof.Trust
	Report     = proof.Report
	Proof      = proof.Proof
)

// Verify is proof.Verify: it checks an export offline.
func Verify(r io.Reader, t Trust) (Report, error) { return proof.Verify(r, t) }

// VerifyProof is proof.VerifyProof: it checks that one record is in the log.
func VerifyProof(p Proof, key string) (Checkpoint, error) { return proof.VerifyProof(p, key) }

// Prove makes the proof of the record with this id, sealing first when that is too young.
func (l *Log) Prove(ctx context.Context, id string) (Proof, error) {
	e, err := l.Show(ctx, id)
	if err != nil {
		return Proof{}, err
	}
	l.sealing.Lock()
	c := l.newest
	l.sealing.Unlock()
	if c.Size < int64(e.Seq) {
		if c, err = l.Seal(ctx); err != nil {
			return Proof{}, err
		}
	}
	path, err := tlog.ProveRecord(c.Size, int64(e.Seq)-1, l.tree)
	if err != nil {
		return Proof{}, fmt.Errorf("proving record: %w", err)
	}
	p := Proof{Key: l.public, Checkpoint: c.Note, Index: int64(e.Seq) - 1, Record: string(e.Raw), Path: []string{}}
	for _, h := range path {
		p.Path = append(p.Path, base64.StdEncoding.EncodeToString(h[:]))
	}
	if _, err := VerifyProof(p, l.public); err != nil {
		return Proof{}, err
	}
	return p, nil
}
