package operator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Time-based one-time passwords (RFC 6238) as every authenticator app has them: SHA-1, six digits, thirty seconds.
const (
	totpStep   = 30
	totpSecret = 20 // bytes, RFC 4226 section 4
	totpDigits = 6

	recoveryCodes = 10
	recoveryLen   = 16 // base 32: 80 bits, which no slow hash has to hold off
)

// code is the one-time password of a step.
func code(secret []byte, step int64, digits int) string {
	var msg [8]byte
	binary.BigEndian.PutUint64(msg[:], uint64(step))
	h := hmac.New(sha1.New, secret)
	h.Write(msg[:])
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 15
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	mod := uint32(1)
	for range digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", digits, n%mod)
}

// matchStep gives the step that typed is the code of: this one, or one beside it, but none up to last, which were taken.
func matchStep(secret []byte, typed string, now time.Time, last int64) (step int64, ok bool) {
	current := now.Unix() / totpStep
	for s := current - 1; s <= current+1; s++ { // all three are looked at, whichever fits
		if subtle.ConstantTimeCompare([]byte(code(secret, s, totpDigits)), []byte(typed)) == 1 && s > last {
			step, ok = s, true
		}
	}
	return step, ok
}

func newTOTP() []byte {
	b := make([]byte, totpSecret)
	rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return b
}

// otpauth is what authenticator apps take (https://github.com/google/google-authenticator/wiki/Key-Uri-Format).
func otpauth(node, name string, secret []byte) string {
	label := url.PathEscape("Casemate " + node + ":" + name)
	q := "secret=" + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret) + "&issuer=" + url.QueryEscape("Casemate "+node)
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(q, "+", "%20")
}

// newRecovery draws codes: what is shown once, and what is kept.
func newRecovery() (shown, kept []string) {
	for range recoveryCodes {
		c := strings.ToLower(rand.Text()[:recoveryLen])
		shown = append(shown, c[:4]+"-"+c[4:8]+"-"+c[8:12]+"-"+c[12:])
		kept = append(kept, recoveryHash(c))
	}
	return shown, kept
}

// plainCode is what was typed, without spaces and dashes, in lower case.
func plainCode(typed string) string {
	if len(typed) > 64 {
		return ""
	}
	plain := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(typed))
	return plain[:min(len(plain), 64)] // what is no ASCII may have grown; it is no code
}

func recoveryHash(plain string) string {
	sum := sha256.Sum256([]byte("casemate recovery " + plain))
	return hex.EncodeToString(sum[:])
}
