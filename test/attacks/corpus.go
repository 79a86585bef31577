package attacks

import (
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
)

//go:embed data/*.json
var files embed.FS

// Case is one value that somebody sends.
type Case struct {
	ID    string `json:"id"`
	Class string `json:"class"` // of an attack: what it injects; of a look-alike: what it is
	Value string `json:"value"`
	Seen  bool   `json:"seen,omitempty"` // looked at while the shield was made, whatever its half
}

// HeldOut reports whether a case is kept out of tuning: its misses are counted, never looked at.
func (c *Case) HeldOut() bool { return !c.Seen && sha256.Sum256([]byte(c.Value))[0]&1 == 1 }

// Attacks gives the attacks.
func Attacks() ([]Case, error) { return read("data/attacks.json") }

// Benign gives values that look like attacks and are none.
func Benign() ([]Case, error) { return read("data/benign.json") }

// FreshAttacks gives attacks that were written apart from the others.
func FreshAttacks() ([]Case, error) { return read("data/fresh-attacks.json") }

// FreshBenign gives harmless values that were written apart from the others.
func FreshBenign() ([]Case, error) { return read("data/fresh-benign.json") }

func read(name string) ([]Case, error) {
	data, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var out []Case
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return out, nil
}
