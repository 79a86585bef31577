package operator

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"casemate"
)

// Argon2id's parameters: OWASP's first choice for little memory
// (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html).
const (
	hashMemory = 19 << 10 // KiB
	hashTime   = 2
	hashSalt   = 16
	hashLen    = 32

	laneLen = 16 // that wait or are computed at once, of one lane
)

var errHashForm = errors.New("not a hash of a password")

// phc is a hash in PHC string form: $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>.
type phc struct {
	memory, time uint32
	salt, hash   []byte
}

func (h phc) String() string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, h.memory, h.time, b.EncodeToString(h.salt), b.EncodeToString(h.hash))
}

// readPHC reads what String wrote. Costs beyond ten times today's are refused: a damaged entry must not fill the memory.
func readPHC(text string) (h phc, err error) {
	parts := strings.Split(text, "$")
	if len(text) > 256 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errHashForm
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1", &h.memory, &h.time); n != 2 || err != nil {
		return phc{}, errHashForm
	}
	if h.memory < 8 || h.memory > 10*hashMemory || h.time < 1 || h.time > 10*hashTime {
		return phc{}, errHashForm
	}
	h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	if err == nil {
		h.hash, err = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	}
	if err != nil || len(h.salt) < 8 || len(h.hash) != hashLen || h.String() != text {
		return phc{}, errHashForm
	}
	return h, nil
}

// derive computes; a password is the same however its characters were composed (NIST SP 800-63B section 5.1.1.2).
func (h phc) derive(password string) []byte {
	return argon2.IDKey(norm.NFKC.Bytes([]byte(password)), h.salt, h.time, h.memory, 1, hashLen)
}

func newPHC(password string, memory uint32) phc {
	h := phc{memory: memory, time: hashTime, salt: make([]byte, hashSalt)}
	rand.Read(h.salt) // never fails (crypto/rand, Go 1.24)
	h.hash = h.derive(password)
	return h
}

// lane computes one hash at a time and has few wait: 19 MiB each, however many ask.
type lane struct{ slot, queue chan struct{} }

func newLane() lane { return lane{make(chan struct{}, 1), make(chan struct{}, laneLen)} }

func (l lane) do(ctx context.Context, f func()) error {
	select {
	case l.queue <- struct{}{}:
	default:
		return busy()
	}
	defer func() { <-l.queue }()
	select {
	case l.slot <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.slot }()
	f()
	return nil
}

func busy() error {
	return &casemate.Error{Code: casemate.Unavailable, Message: "too many sign-ins at once", Hint: "try again shortly", Retry: 2}
}

// hasher checks passwords. Strangers have a lane of their own, so that a flood of them waits behind itself; who signs in from
// where it did before, or with a known machine, or is signed in, has the other.
type hasher struct {
	known, strange lane
	dummy          string       // the hash of those who do not exist
	usual          atomic.Int64 // nanoseconds that a check takes, waiting included, of late
	idle           chan struct{}
	work           atomic.Int64 // checks that were computed
	memory         uint32
	clock          func() time.Time
}

func newHasher(clock func() time.Time, memory uint32) *hasher {
	start := clock()
	h := &hasher{known: newLane(), strange: newLane(), dummy: newPHC(rand.Text(), memory).String(), idle: make(chan struct{}, 8*laneLen), memory: memory, clock: clock}
	h.usual.Store(int64(clock().Sub(start))) // guesses at names that exist are remembered over a restart: the first refusal must not tell
	return h
}

func (h *hasher) lane(known bool) lane {
	if known {
		return h.known
	}
	return h.strange
}

// check says whether password has this hash; "" is the hash of nobody, and takes as long.
func (h *hasher) check(ctx context.Context, known bool, hash, password string) (ok bool, err error) {
	nobody := hash == ""
	if nobody {
		hash = h.dummy
	}
	want, err := readPHC(hash)
	if err != nil {
		return false, err
	}
	start := h.clock()
	if err := h.lane(known).do(ctx, func() { h.work.Add(1); ok = subtle.ConstantTimeCompare(want.derive(password), want.hash) == 1 }); err != nil {
		return false, err
	}
	took := int64(h.clock().Sub(start))
	h.usual.Store((3*h.usual.Load() + took) / 4)
	return ok && !nobody, nil
}

func (h *hasher) make(ctx context.Context, password string) (hash string, err error) {
	err = h.known.do(ctx, func() { hash = newPHC(password, h.memory).String() })
	return hash, err
}

// linger waits as long as a check takes, less what has passed: a refusal that computed nothing looks like the others. When very many linger,
// further ones do not, whatever their name.
func (h *hasher) linger(ctx context.Context, passed time.Duration) {
	select {
	case h.idle <- struct{}{}:
	default:
		return
	}
	defer func() { <-h.idle }()
	t := time.NewTimer(min(time.Duration(h.usual.Load()), 2*time.Second) - passed)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
