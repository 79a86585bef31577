package secrets

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"strings"

	"casemate"
	"casemate/secret/plain"
)

type passwordIn struct {
	PasswordLength          *int
	ExcludeCharacters       string
	ExcludeNumbers          bool
	ExcludePunctuation      bool
	ExcludeUppercase        bool
	ExcludeLowercase        bool
	IncludeSpace            bool
	RequireEachIncludedType *bool
}

// passwordOut is encoded once: that wipes it.
type passwordOut struct{ text plain.Text }

// MarshalJSON is the way out, to the caller who asked for it.
func (p *passwordOut) MarshalJSON() ([]byte, error) {
	defer p.text.Wipe()
	b, err := p.text.AppendJSON([]byte(`{"RandomPassword":`))
	return append(b, '}'), err
}

var _ json.Marshaler = (*passwordOut)(nil)

// password draws a password as GetRandomPassword does: each character alike, and by default one of each kind at least.
func (s *service) password(_ context.Context, _ *casemate.Launch, in *passwordIn) (any, error) {
	n := 32
	if in.PasswordLength != nil {
		n = *in.PasswordLength
	}
	if n < 1 || n > 4096 || len(in.ExcludeCharacters) > 4096 {
		return nil, parameter("PasswordLength must be from 1 to 4096")
	}
	var kinds []string
	for _, k := range []struct {
		out   bool
		chars string
	}{{in.ExcludeLowercase, "abcdefghijklmnopqrstuvwxyz"}, {in.ExcludeUppercase, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}, {in.ExcludeNumbers, "0123456789"},
		{in.ExcludePunctuation, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"}, {!in.IncludeSpace, " "}} {
		chars := strings.Map(func(r rune) rune {
			if k.out || strings.ContainsRune(in.ExcludeCharacters, r) {
				return -1
			}
			return r
		}, k.chars)
		if chars != "" {
			kinds = append(kinds, chars)
		}
	}
	each := in.RequireEachIncludedType == nil || *in.RequireEachIncludedType
	switch {
	case len(kinds) == 0:
		return nil, parameter("There are no characters left to make a password of.")
	case each && n < len(kinds):
		return nil, parameter("The password is too short for one character of each type.")
	}
	return &passwordOut{plain.Take(draw(kinds, n, each))}, nil
}

// draw gives n characters of all kinds; with each, it draws again until one of each kind is among them, which keeps every
// such password as likely as any other. For short ones that may take long, so that after some draws kinds are planted.
func draw(kinds []string, n int, each bool) []byte {
	all := strings.Join(kinds, "")
	out := make([]byte, n)
	for range 100 {
		for i := range out {
			out[i] = all[below(len(all))]
		}
		if !each || hasAll(kinds, out) {
			return out
		}
	}
	places := make([]int, n)
	for i := range places {
		j := below(i + 1)
		places[i], places[j] = places[j], i
	}
	for i, k := range kinds {
		out[places[i]] = k[below(len(k))]
	}
	return out
}

func hasAll(kinds []string, b []byte) bool {
	for _, k := range kinds {
		if !bytes.ContainsAny(b, k) {
			return false
		}
	}
	return true
}

// below draws a number below n, each alike.
func below(n int) int {
	var b [8]byte
	for limit := (1<<63)/uint64(n)*uint64(n) - 1; ; {
		rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
		if v := binary.LittleEndian.Uint64(b[:]) >> 1; v <= limit {
			return int(v % uint64(n))
		}
	}
}
