package proof

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// An export is JSON lines, written in exactly one way. The first is its head: format, public key, newest checkpoint.
// Then come all records in order, each {"seq":1,"leaf":"<hex leaf hash>","record":<exact bytes>}, and between them,
// where each was made, {"checkpoint":"<signed note>"}; the last line is the newest checkpoint again.
const (
	exportFormat = "casemate-audit-export/1"
	maxLine      = 2 << 20
)

type exportHead struct {
	Format     string `json:"format"`
	Key        string `json:"key"`
	Checkpoint string `json:"checkpoint"`
}

type exportCheckpoint struct {
	Checkpoint string `json:"checkpoint"`
}

// Head is the first line of an export.
func Head(key, newest string) ([]byte, error) {
	return encodeLine(exportHead{Format: exportFormat, Key: key, Checkpoint: newest})
}

// Mark is the line of a checkpoint, also in the copy that a node keeps of its checkpoints.
func Mark(note string) ([]byte, error) { return encodeLine(exportCheckpoint{note}) }

// ReadMark takes the checkpoint out of its line; the signature is not looked at.
func ReadMark(line []byte) (string, error) {
	var e exportCheckpoint
	if err := canonical(line, &e); err != nil {
		return "", err
	}
	return e.Checkpoint, nil
}

// AppendRecord adds the line of record number seq to b; leaf is the hash it was sealed with.
func AppendRecord(b []byte, seq uint64, leaf tlog.Hash, data []byte) []byte {
	b = strconv.AppendUint(append(b, `{"seq":`...), seq, 10)
	b = hex.AppendEncode(append(b, `,"leaf":"`...), leaf[:])
	return append(append(append(b, `","record":`...), data...), "}\n"...)
}

// canonical decodes a line and refuses any other way of writing the same value.
func canonical(line []byte, to any) error {
	if err := json.Unmarshal(line, to); err != nil {
		return err
	}
	again, err := encodeLine(to)
	if err == nil && !bytes.Equal(bytes.TrimSuffix(again, []byte("\n")), line) {
		err = errors.New("not in canonical form")
	}
	return err
}

func encodeLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
