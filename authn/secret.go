package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/big"
)

// A key reads ck_<id>_<secret><sum>: a public id of 10 characters to find it by, 256 random bits as 43 characters and
// a CRC-32 as 6, all base 62. The fixed prefix and the sum let secret scanners recognise a leaked key offline.
const (
	keyMark   = "ck_"
	idLen     = 10
	secretLen = 43 // 62^43 > 2^256
	sumLen    = 6  // 62^6 > 2^32
	keyLen    = len(keyMark) + idLen + 1 + secretLen + sumLen

	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

var errKeyForm = errors.New("malformed key")

// newSecret draws a key. id is "ck_" and the public part.
func newSecret() (id, key string) {
	var raw [8 + 32]byte
	rand.Read(raw[:]) // never fails (crypto/rand, Go 1.24)
	id = keyMark + base62(raw[:8], idLen)
	body := id + "_" + base62(raw[8:], secretLen)
	return id, body + checksum(body)
}

// base62 writes b as a number of exactly n digits; higher digits are cut off.
func base62(b []byte, n int) string {
	v, base, digit := new(big.Int).SetBytes(b), big.NewInt(int64(len(alphabet))), new(big.Int)
	out := make([]byte, n)
	for i := n - 1; i >= 0; i-- {
		v.DivMod(v, base, digit)
		out[i] = alphabet[digit.Int64()]
	}
	return string(out)
}

func checksum(body string) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], crc32.ChecksumIEEE([]byte(body)))
	return base62(b[:], sumLen)
}

// keyID checks a key's form and returns its public id.
func keyID(key string) (string, error) {
	if len(key) != keyLen || key[:len(keyMark)] != keyMark || key[len(keyMark)+idLen] != '_' {
		return "", errKeyForm
	}
	for i := len(keyMark); i < len(key); i++ {
		if c := key[i]; i != len(keyMark)+idLen && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "", errKeyForm
		}
	}
	sum := crc32.ChecksumIEEE([]byte(key[:keyLen-sumLen]))
	for i := keyLen - 1; i >= keyLen-sumLen; i-- {
		if key[i] != alphabet[sum%62] {
			return "", errKeyForm
		}
		sum /= 62
	}
	return key[:len(keyMark)+idLen], nil
}

// digest is what the store keeps of a key. A key has 256 random bits, so a fast hash is safe: no list of guesses
// exists that a slow one would have to hold off.
func digest(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }
