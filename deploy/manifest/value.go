package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/quota"
)

// Date is a day, or a moment, until which something holds.
type Date struct{ time.Time }

func (t *Date) parse(s string) (err error) {
	if t.Time, err = time.Parse(time.DateOnly, s); err != nil {
		t.Time, err = time.Parse(time.RFC3339, s)
	}
	return err
}

// parse reads "/path" or "/path sha256:<hex>".
func (x *Child) parse(s string) error {
	file, digest, pinned := strings.Cut(s, " sha256:")
	if !path.IsAbs(file) || path.Clean(file) != file || file == "/" || strings.ContainsFunc(file, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return casemate.Errorf(casemate.Invalid, `write it as "/usr/bin/pdftotext"`, "%q is no absolute clean path of a program", file)
	}
	if raw, err := hex.DecodeString(digest); pinned && (err != nil || len(raw) != sha256.Size || digest != strings.ToLower(digest)) {
		return casemate.Errorf(casemate.Invalid, "sha256sum prints it", "%q is no SHA-256 digest: 64 lower-case hex digits", digest)
	}
	*x = Child{file, digest}
	return nil
}

func (x *Duration) parse(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return casemate.Errorf(casemate.Invalid, `write it as "3s", "250ms" or "1h"`, "%q is no duration", s)
	}
	*x = Duration(d)
	return nil
}

// String is the shortest form that reads back.
func (x Duration) String() string {
	s := time.Duration(x).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parse reads cores with at most two decimals: a hundredth of a core is the least that is kept exactly.
func (x *Cores) parse(s string) error {
	whole, part, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole, 10, 8)
	m, perr := strconv.ParseUint((part + "00")[:max(2, len(part))], 10, 8)
	if err != nil || perr != nil || len(part) > 2 || strings.HasSuffix(s, ".") || n+m == 0 || n > 128 {
		return casemate.Errorf(casemate.Invalid, `write it as "0.25", "0.5" or "2"`, "%q is no number of cores", s)
	}
	*x = Cores(n*1000 + m*10)
	return nil
}

// String is the shortest form that reads back.
func (x Cores) String() string { return strconv.FormatFloat(float64(x)/1000, 'f', -1, 64) }

func (x *Size) parse(s string) error {
	digits := strings.TrimRight(s, "KMGiB")
	scale := map[string]int64{"": 1, "B": 1, "KB": 1 << 10, "KiB": 1 << 10, "MB": 1 << 20, "MiB": 1 << 20,
		"GB": 1 << 30, "GiB": 1 << 30}[s[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || digits[0] == '+' || scale == 0 || n <= 0 || n > math.MaxInt64/scale {
		return casemate.Errorf(casemate.Invalid, `write it as "64KB", "128MB" or "1GB"`, "%q is no size", s)
	}
	*x = Size(n * scale)
	return nil
}

// MB is the size in whole megabytes, rounded up.
func (x Size) MB() int { return int((x + 1<<20 - 1) >> 20) }

// String is the size in the largest unit that divides it.
func (x Size) String() string {
	for i, unit := range [...]string{"GB", "MB", "KB"} {
		if s := Size(1) << (30 - 10*i); x >= s && x%s == 0 {
			return fmt.Sprint(int64(x/s), unit)
		}
	}
	return strconv.FormatInt(int64(x), 10) + "B"
}

func (r *Rate) parse(s string) (err error) {
	r.Rate, err = quota.ParseRate(s)
	return err
}
