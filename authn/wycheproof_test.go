package authn

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type wycheproof struct {
	TestGroups []struct {
		Comment string          `json:"comment"`
		Public  json.RawMessage `json:"public"`
		Private json.RawMessage `json:"private"`
		Tests   []struct {
			ID      int             `json:"tcId"`
			Comment string          `json:"comment"`
			JWS     json.RawMessage `json:"jws"`
			JWE     json.RawMessage `json:"jwe"`
			Result  string          `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

// checkVector takes a token through everything that a real one passes but its claims: the vectors' payloads are no
// claims sets.
func checkVector(key, token string) error {
	if !strings.Contains(key, `"keys"`) {
		key = `{"keys":[` + key + `]}`
	}
	set, err := parseKeySet([]byte(key))
	if err != nil {
		return err
	}
	h, _, err := splitToken(token)
	if err != nil {
		return err
	}
	k, err := set.find(h)
	if err != nil {
		return err
	}
	return checkSignature(token, h.alg, k)
}

func TestWycheproofVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/wycheproof/*.json")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	// Valid by the standard, refused here on purpose: encryption, shared keys, and keys whose alg is not that of the token.
	stricter := func(comment, key string, err error) bool {
		return strings.HasPrefix(comment, "jwe") || strings.Contains(key, `"kty": "oct"`) || strings.Contains(key, `"kty":"oct"`) ||
			strings.HasPrefix(comment, "rfc7520") && (strings.Contains(key, `"ES521"`) || strings.Contains(err.Error(), "not that of its key"))
	}
	invalid, taken := 0, 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w wycheproof
		if err := json.Unmarshal(raw, &w); err != nil {
			t.Fatal(err)
		}
		for _, g := range w.TestGroups {
			key := string(g.Public)
			if key == "" {
				key = string(g.Private)
			}
			for _, v := range g.Tests {
				token := string(v.JWS)
				if token == "" {
					token = string(v.JWE)
				}
				var text string
				if json.Unmarshal([]byte(token), &text) == nil {
					token = text
				}
				err := checkVector(key, token)
				switch {
				case v.Result == "invalid" && err == nil:
					t.Errorf("%s %s %d (%s): invalid, but taken", filepath.Base(file), g.Comment, v.ID, v.Comment)
				case v.Result == "invalid":
					invalid++
				case err == nil:
					taken++
				case !stricter(g.Comment, key, err):
					t.Errorf("%s %s %d (%s): valid, but refused: %v", filepath.Base(file), g.Comment, v.ID, v.Comment, err)
				}
			}
		}
	}
	t.Logf("%d invalid vectors refused, %d valid ones taken", invalid, taken)
	if invalid != 453 || taken != 35 {
		t.Errorf("%d invalid refused, %d valid taken: are the vectors complete?", invalid, taken)
	}
}
