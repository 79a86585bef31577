package passkey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"casemate"
)

// Lifetime is how long a challenge may be answered.
const Lifetime = 5 * time.Minute

const (
	nonceSize     = 16
	challengeSize = nonceSize + 8 + sha256.Size
	maxAnswered   = 1 << 14 // challenges that were answered and have not ended; more than so many sign-ins in 5 minutes are refused
)

// ceremony says what a challenge is for.
type ceremony byte

const (
	enrolment ceremony = iota + 1
	signIn
)

// purpose is what a challenge is bound to: an answer for another one is refused.
type purpose struct {
	ceremony ceremony
	operator string // "" where the passkey is to say whose it is
	bound    string // the session, or the sign-in, that it belongs to
}

// desk hands out challenges and takes each back once.
//
//	challenge: nonce (16) | end, Unix seconds (8) | HMAC-SHA256 over both and the purpose
type desk struct {
	key   [32]byte // of this process: no challenge outlives it
	clock func() time.Time

	mu       sync.Mutex
	answered map[[nonceSize]byte]int64 // end, Unix seconds
}

func newDesk(clock func() time.Time) (*desk, error) {
	d := &desk{clock: clock, answered: map[[nonceSize]byte]int64{}}
	_, err := rand.Read(d.key[:])
	return d, err
}

// challenge makes a new one for p.
func (d *desk) challenge(p purpose) ([]byte, error) {
	c := make([]byte, nonceSize, challengeSize)
	if _, err := rand.Read(c); err != nil {
		return nil, err
	}
	c = binary.BigEndian.AppendUint64(c, uint64(d.clock().Add(Lifetime).Unix()))
	return d.mac(c, p), nil
}

// mac appends the code of c for p; every part goes in with its length, so that no two purposes read the same.
func (d *desk) mac(c []byte, p purpose) []byte {
	h := hmac.New(sha256.New, d.key[:])
	h.Write(c)
	h.Write([]byte{byte(p.ceremony)})
	for _, part := range [...]string{p.operator, p.bound} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return h.Sum(c)
}

// check reads the challenge of a client's answer and says whether it was made here, for p, and has not ended.
func (d *desk) check(text string, p purpose) ([]byte, error) {
	c, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(c) != challengeSize {
		return nil, errors.New("the challenge is none of this node")
	}
	head := c[: nonceSize+8 : nonceSize+8]
	if subtle.ConstantTimeCompare(c, d.mac(head, p)) != 1 {
		return nil, errors.New("the challenge was made for somebody or something else")
	}
	if d.clock().Unix() >= int64(binary.BigEndian.Uint64(head[nonceSize:])) {
		return nil, errors.New("the challenge has ended")
	}
	return c, nil
}

// take marks a challenge that check accepted as answered. Of two answers one gets through.
func (d *desk) take(c []byte) error {
	nonce := [nonceSize]byte(c)
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, was := d.answered[nonce]; was {
		return errors.New("the challenge was answered before")
	}
	if len(d.answered) >= maxAnswered {
		now := d.clock().Unix()
		for n, end := range d.answered {
			if end <= now {
				delete(d.answered, n)
			}
		}
	}
	if len(d.answered) >= maxAnswered {
		return &casemate.Error{Code: casemate.Exhausted, Message: "too many sign-ins at present", Hint: "try again in a minute", Retry: 60}
	}
	d.answered[nonce] = int64(binary.BigEndian.Uint64(c[nonceSize:]))
	return nil
}
