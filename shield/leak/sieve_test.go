package leak

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sift sends body through a sieve in pieces that end at the given places.
func sift(t testing.TB, body, media string, r Rules, cuts []int) (string, string, []string) {
	t.Helper()
	s, out := NewSieve(media, r), ""
	from := 0
	for _, at := range append(slices.Clone(cuts), len(body)) {
		p, blocked := s.Pass([]byte(body[from:at]))
		if out += string(p); blocked != "" {
			return out, blocked, s.Notes()
		}
		if len(s.held) > maxLine+len(body[from:at])+maxToken {
			t.Fatalf("%d bytes are kept back", len(s.held))
		}
		from = at
	}
	p, blocked := s.End()
	return out + string(p), blocked, s.Notes()
}

const pemBody = "MIIEpAIBAAKCAQEA+/AKIA/ck_"

func pem(kind string, lines int) string {
	return "-----BEGIN " + kind + "-----\n" + strings.Repeat(pemBody+"\n", lines) + "-----END " + kind + "-----"
}

// scraps are what bodies of the property are made of: credentials, almost credentials, and what borders on them. Credentials
// that go on over a dash are not among them: two with a dash between are one to the one and two to the other.
var scraps = []string{"ck_" + letters, "ghp_" + letters[:36], "ghp_" + letters[:30], "AKIAQWERTYUIOPASDF23", "ASIAQWERTYUIOPASDF23",
	"ck_", "c", "-", "-----", "-----BEGI", "x", "_", " ", "\n", ".", "\"", "data: {}", pem("RSA PRIVATE KEY", 12), pem("PRIVATE KEY", 1), pem("CERTIFICATE", 9), "hello there"}

// TestASieveFindsWhatTheWholeBodyHolds: however a body is split, what leaves is what would have left of it whole.
func TestASieveFindsWhatTheWholeBodyHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := strings.Join(rapid.SliceOfN(rapid.SampledFrom(scraps), 1, 12).Draw(t, "scraps"), "")
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(body)), 0, 30).Draw(t, "cuts")
		slices.Sort(cuts)
		rules := Rules{Secrets: rapid.SampledFrom([]Act{Default, Mask, Block, Off}).Draw(t, "secrets"), Traces: Off}
		whole, found := Body([]byte(body), 200, "text/plain", rules)
		s, out := NewSieve("text/plain", rules), ""
		from, blocked := 0, ""
		for _, at := range append(cuts, len(body)) {
			var p []byte
			if p, blocked = s.Pass([]byte(body[from:at])); blocked != "" {
				break
			}
			out, from = out+string(p), at
		}
		if blocked == "" {
			var p []byte
			p, blocked = s.End()
			out += string(p)
		}
		if (blocked != "") != (found.Blocked != "") {
			t.Fatalf("%q: %q, whole %q", body, blocked, found.Blocked)
		}
		if blocked == "" && out != string(whole) {
			t.Fatalf("%q:\n%q, whole\n%q", body, out, whole)
		}
		if blocked != "" && !strings.HasPrefix(body, out) && rules.Secrets != Default {
			t.Fatalf("%q: %q left before the end", body, out)
		}
	})
}

// TestASecretSplitOverChunks: each border once, and one byte at a time.
func TestASecretSplitOverChunks(t *testing.T) {
	for _, secret := range []string{"ck_" + letters, "ASIAQWERTYUIOPASDF23", pem("RSA PRIVATE KEY", 40)} {
		body := "event: x\ndata: " + secret + "\n\n"
		var each []int
		for at := range len(body) {
			each = append(each, at)
			out, blocked, notes := sift(t, body, "text/event-stream", Rules{}, []int{at})
			if blocked == "" || strings.Contains(out, secret[:8]) || len(notes) != 1 || strings.Contains(notes[0], secret[3:]) {
				t.Fatalf("cut at %d of %.20s: %q left, blocked by %q, %v", at, secret, out, blocked, notes)
			}
		}
		if out, blocked, _ := sift(t, body, "text/event-stream", Rules{}, each); blocked == "" || strings.Contains(out, secret[:8]) {
			t.Errorf("byte by byte %q left of %.20s", out, secret)
		}
	}
}

// TestATokenSplitOverChunks: one with dashes and dots.
func TestATokenSplitOverChunks(t *testing.T) {
	for _, secret := range []string{"xoxb-" + letters[:30], "SG." + letters + letters[:20], "pypi-AgEIcHlwaS5vcmc" + letters, "glpat-" + letters[:30]} {
		for at := range len(secret) + 4 {
			if out, _, _ := sift(t, "a: "+secret+" b", "", Rules{}, []int{at, min(at+2, len(secret)+4)}); out != "a: "+mask+" b" {
				t.Errorf("cut at %d of %.20s: %q", at, secret, out)
			}
		}
	}
}

// TestWhatIsHarmlessLeavesAtOnce: words and numbers do not wait for the next chunk.
func TestWhatIsHarmlessLeavesAtOnce(t *testing.T) {
	for _, chunk := range []string{"tick 1\n", "data: {\"n\":1}\n\n", "hello", "12", "an end.", "<p>", "\x00\x01\xff", "key: done"} {
		s := NewSieve("text/event-stream", Rules{})
		for range 3 {
			if out, blocked := s.Pass([]byte(chunk)); string(out) != chunk || blocked != "" {
				t.Errorf("%q: %q left", chunk, out)
			}
		}
	}
}

// TestTracesDoNotLeaveInPieces: an answer that succeeded and turns out to carry a trace.
func TestTracesDoNotLeaveInPieces(t *testing.T) {
	for _, name := range []string{"python", "go"} {
		body := "one\n" + stacks()[name] + "\nlast\n"
		for at := range len(body) {
			out, blocked, notes := sift(t, body, "text/plain", Rules{}, []int{at, min(at+7, len(body))})
			for _, w := range []string{"/var/task", "/src/app", "app.py", "main.go"} {
				if strings.Contains(out, w) || blocked != "" || len(notes) == 0 {
					t.Fatalf("%s, cut at %d: %q leaves in %q, %v", name, at, w, out, notes)
				}
			}
			if !strings.HasPrefix(out, "one\n") || !strings.Contains(out, "last") {
				t.Fatalf("%s, cut at %d: %q", name, at, out)
			}
		}
	}
}

// TestNumbersSplitOverChunks: where a route asks for it.
func TestNumbersSplitOverChunks(t *testing.T) {
	body := "card 4111 1111 1111 1111, account DE89 3704 0044 0532 0130 00."
	for at := range len(body) {
		if out, _, notes := sift(t, body, "text/plain", Rules{Personal: Mask}, []int{at, min(at+3, len(body))}); out != "card "+mask+", account "+mask+"." || len(notes) != 2 {
			t.Errorf("cut at %d: %q, %v", at, out, notes)
		}
	}
}

// TestASieveKeepsLittleBack: an endless line, an endless key and an endless word.
func TestASieveKeepsLittleBack(t *testing.T) {
	for _, start := range []string{"", "Traceback (most recent call last)", "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("A", 200) + "-----END ", "ck_", "-----BEGIN ", "npm_"} {
		s := NewSieve("text/plain", Rules{Secrets: Mask, Personal: Mask})
		s.Pass([]byte(start))
		for range 200 {
			s.Pass([]byte(strings.Repeat("A", 1000)))
			if len(s.held) > maxLine+2000 {
				t.Fatalf("%.20q: %d bytes are kept back", start, len(s.held))
			}
		}
	}
}

func FuzzSieve(f *testing.F) {
	f.Add("a ck_"+letters+" b", 5, 9)
	f.Add(pem("PRIVATE KEY", 9), 20, 200)
	f.Fuzz(func(t *testing.T, body string, one, two int) {
		one, two = min(max(one, 0), len(body)), min(max(two, 0), len(body))
		cuts := []int{min(one, two), max(one, two)}
		want, _ := Body([]byte(body), 200, "image/png", Rules{Secrets: Mask})
		if out, blocked, _ := sift(t, body, "image/png", Rules{Secrets: Mask}, cuts); blocked != "" || out != string(want) {
			t.Fatalf("%q %v: %q, whole %q", body, cuts, out, want)
		}
	})
}

func BenchmarkSieve(b *testing.B) {
	chunk := []byte(strings.Repeat("data: {\"token\":\"hello there\",\"n\":12}\n\n", 800))
	s := NewSieve("text/event-stream", Rules{})
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		s.Pass(chunk)
	}
}
