package proof

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint says, signed, that the log had Size records with the Merkle root Root at Time. Note is the C2SP
// tlog-checkpoint (https://c2sp.org/tlog-checkpoint) as signed note, with the time as its one extension line.
type Checkpoint struct {
	Origin string    `json:"origin"`
	Size   int64     `json:"size"`
	Root   string    `json:"root"` // base64
	Time   time.Time `json:"time"`
	Note   string    `json:"note"`

	root tlog.Hash
}

// Hash is the root.
func (c *Checkpoint) Hash() tlog.Hash { return c.root }

// MaxNote bounds a checkpoint that comes from outside.
const MaxNote = 4 << 10

func checkpointText(origin string, size int64, root tlog.Hash, at time.Time) string {
	return fmt.Sprintf("%s\n%d\n%s\ntime %s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]),
		at.UTC().Format(time.RFC3339))
}

// Sign makes the checkpoint of a log of that size and root. The signer's name is the log's.
func Sign(s note.Signer, size int64, root tlog.Hash, at time.Time) (Checkpoint, error) {
	text := checkpointText(s.Name(), size, root, at)
	msg, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("signing checkpoint: %w", err)
	}
	c, err := parseCheckpoint(text)
	c.Note = string(msg)
	return c, err
}

// Open checks the signature and takes only the one way of writing a checkpoint: a changed byte anywhere,
// unused bits of the base64 included, is refused.
func Open(msg []byte, v note.Verifier) (Checkpoint, error) {
	if len(msg) > MaxNote {
		return Checkpoint{}, errors.New("checkpoint too long")
	}
	n, err := note.Open(msg, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint signature: %w", err)
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return Checkpoint{}, errors.New("checkpoint must have exactly one signature")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint signature: %w", err)
	}
	canonical := n.Text + "\n— " + v.Name() + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
	if !bytes.Equal([]byte(canonical), msg) {
		return Checkpoint{}, errors.New("checkpoint is not in canonical form")
	}
	c, err := parseCheckpoint(n.Text)
	if err == nil && c.Origin != v.Name() {
		err = fmt.Errorf("checkpoint of another log: %q", c.Origin)
	}
	c.Note = string(msg)
	return c, err
}

func parseCheckpoint(text string) (Checkpoint, error) {
	bad := errors.New("malformed checkpoint")
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[3], "time ") {
		return Checkpoint{}, bad
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, bad
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(raw) != tlog.HashSize {
		return Checkpoint{}, bad
	}
	at, err := time.Parse(time.RFC3339, lines[3][len("time "):])
	if err != nil {
		return Checkpoint{}, bad
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: lines[2], Time: at, root: tlog.Hash(raw)}
	if checkpointText(c.Origin, c.Size, c.root, c.Time) != text {
		return Checkpoint{}, bad
	}
	return c, nil
}
