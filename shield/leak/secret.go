package leak

import (
	"bytes"
	"fmt"
	"slices"
)

// kind is one shape of credentials: what it starts with, and what must follow.
type kind struct {
	rule   string
	prefix string
	chars  string // what it goes on with
	least  int    // so many of them at least
	most   int
	act    Act // where Rules.Secrets says nothing
}

const (
	alnum  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	word   = alnum + "_"
	dashed = alnum + "_-"
)

// kinds are credentials that are known by their look, from what their makers publish about them. All prefixes have at least
// three bytes.
var kinds = [...]kind{
	{"casemate-key", "ck_", word, 40, 200, Block},
	{"casemate-session", "cs_", "abcdefghijklmnopqrstuvwxyz234567_", 65, 65, Block}, // Stripe's checkout sessions begin so, too, and go on otherwise
	{"aws-session", "ASIA", upper, 16, 16, Block},
	{"aws-access-key", "AKIA", upper, 16, 16, Mask},
	{"github-token", "ghp_", alnum, 36, 255, Mask}, {"github-token", "gho_", alnum, 36, 255, Mask}, {"github-token", "ghu_", alnum, 36, 255, Mask},
	{"github-token", "ghs_", alnum, 36, 255, Mask}, {"github-token", "ghr_", alnum, 36, 255, Mask}, {"github-token", "github_pat_", word, 60, 255, Mask},
	{"gitlab-token", "glpat-", dashed, 20, 255, Mask}, {"slack-token", "xoxb-", dashed, 24, 255, Mask}, {"slack-token", "xoxp-", dashed, 24, 255, Mask},
	{"slack-token", "xapp-", dashed, 24, 255, Mask}, {"stripe-key", "sk_live_", alnum, 20, 255, Mask}, {"stripe-key", "rk_live_", alnum, 20, 255, Mask},
	{"google-key", "AIza", dashed, 35, 35, Mask}, {"npm-token", "npm_", alnum, 36, 36, Mask}, {"sendgrid-key", "SG.", dashed + ".", 60, 80, Mask},
	{"anthropic-key", "sk-ant-", dashed, 40, 255, Mask}, {"openai-key", "sk-proj-", dashed, 40, 255, Mask}, {"pypi-token", "pypi-AgEIcHlwaS5vcmc", dashed, 40, 500, Mask},
	{"digitalocean-token", "dop_v1_", "0123456789abcdef", 64, 64, Mask}, {"shopify-token", "shpat_", "0123456789abcdefABCDEF", 32, 32, Mask},
	{"hashicorp-token", "hvs.", dashed, 24, 255, Mask}, {"doppler-token", "dp.pt.", alnum, 40, 50, Mask}, {"telegram-bot", "bot_token=", dashed + ":", 40, 60, Mask},
}

// starts says what the first three bytes of a credential hash to. It is data: never written after it was made.
var starts = func() *[1 << 13 / 8]byte {
	t := new([1 << 13 / 8]byte)
	for i := range kinds {
		n := three([]byte(kinds[i].prefix))
		t[n/8] |= 1 << (n % 8)
	}
	return t
}()

// three hashes the first three bytes of v.
func three(v []byte) uint32 {
	_ = v[2]
	return (uint32(v[0]) | uint32(v[1])<<8 | uint32(v[2])<<16) * 0x9e3779b1 >> 19
}

const mask = "[removed]"

// edit is one part of a body to be replaced.
type edit struct {
	from, to int
	with     string
}

// secrets finds the credentials in body. before is the byte in front of it, 0 when there is none.
func secrets(body []byte, before byte, act Act, f *finder) {
	privateKeys(body, act, f)
	for i := 0; i+3 < len(body); i++ {
		n := three(body[i:])
		if starts[n/8]&(1<<(n%8)) == 0 || inWord(body, before, i) {
			continue
		}
		for k := range kinds {
			if end := kinds[k].match(body, i); end > 0 {
				f.hit(kinds[k].rule, i, end, pick(act, kinds[k].act))
				i = end - 1
				break
			}
		}
	}
}

// inWord reports whether i is not the first byte of a word of body.
func inWord(body []byte, before byte, i int) bool {
	if i > 0 {
		before = body[i-1]
	}
	return isDigit(before) || isLetter(before)
}

func pick(said, own Act) Act {
	if said == Default {
		return own
	}
	return said
}

// match gives the end of the credential at i, 0 when there is none. What documentation shows is none.
func (k *kind) match(body []byte, i int) int {
	if !bytes.HasPrefix(body[i:], []byte(k.prefix)) {
		return 0
	}
	start := i + len(k.prefix)
	end := start
	for end < len(body) && bytes.IndexByte([]byte(k.chars), body[end]) >= 0 && end-start <= k.most {
		end++
	}
	if n := end - start; n < k.least || n > k.most || bytes.Contains(body[start:end], []byte("EXAMPLE")) || len(bytes.Trim(body[start:end], "xX*._0")) < k.least/2 {
		return 0
	}
	return end
}

// privateKeys finds keys in PEM, with line ends of text or of JSON.
func privateKeys(body []byte, act Act, f *finder) {
	for at := 0; ; {
		i := bytes.Index(body[at:], []byte("-----BEGIN "))
		if i < 0 {
			return
		}
		at += i
		head := body[at : at+min(len(body)-at, 64)]
		kind := bytes.Index(head, []byte("PRIVATE KEY"))
		if kind < 0 {
			at += 11
			continue
		}
		end := len(body)
		if j := bytes.Index(body[at+20:], []byte("-----END ")); j >= 0 {
			j += at + 20 + len("-----END ")
			if k := bytes.Index(body[j:], []byte("-----")); k >= 0 {
				end = j + k + 5
			}
		}
		if end-at < 150 { // a placeholder
			at += 11
			continue
		}
		f.hit("private-key", at, end, pick(act, Block))
		at = end
	}
}

// finder gathers what was found.
type finder struct {
	edits  []edit
	counts map[string]int
	order  []string
	source bool // the last line was a frame of Python
	block  string
}

func (f *finder) hit(rule string, from, to int, act Act) {
	if act == Off || act == Default {
		return
	}
	f.note("leak/" + rule)
	if act == Block {
		if f.block == "" {
			f.block = "leak/" + rule
		}
		return
	}
	f.edits = append(f.edits, edit{from, to, mask})
}

func (f *finder) note(rule string) {
	if f.counts == nil {
		f.counts = map[string]int{}
	}
	if f.counts[rule] == 0 {
		f.order = append(f.order, rule)
	}
	f.counts[rule]++
}

// apply gives body with the edits made, which are in order and apart.
func (f *finder) apply(body []byte) []byte {
	if len(f.edits) == 0 {
		return body
	}
	slices.SortStableFunc(f.edits, func(a, b edit) int { return a.from - b.from })
	out := make([]byte, 0, len(body))
	at := 0
	for _, e := range f.edits {
		if e.from < at {
			continue
		}
		out = append(append(out, body[at:e.from]...), e.with...)
		at = e.to
	}
	f.edits = f.edits[:0]
	return append(out, body[at:]...)
}

func (f *finder) notes(did string) []string {
	var out []string
	for _, rule := range f.order {
		out = append(out, fmt.Sprintf("%s %s %d", rule, did, f.counts[rule]))
	}
	return out
}
