package quota

import (
	"math"
	"strconv"
	"strings"

	"casemate"
)

// The bounds of a rate text.
const (
	maxCount = 1_000_000
	maxBurst = 10_000_000
)

// ParseRate reads COUNT/UNIT[ burst COUNT]: "10/s burst 20", "5/m", "100/h", "0.5/s". The unit is s, m or h. Without a burst
// it is the count, rounded up: what one unit gives may come at once. Zero, a sign, an exponent, a stray space or anything
// else is an *casemate.Error of code Invalid, never a default.
func ParseRate(text string) (casemate.Rate, error) {
	rate, burst, hasBurst := strings.Cut(text, " burst ")
	count, unit, ok := strings.Cut(rate, "/")
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if !ok || seconds == 0 {
		return casemate.Rate{}, rateError(text, "it is not COUNT/s, COUNT/m or COUNT/h")
	}
	n, ok := parseCount(count)
	if !ok || n > maxCount {
		return casemate.Rate{}, rateError(text, "the count is not a number above 0 and up to 1000000, like 10 or 0.5")
	}
	r := casemate.Rate{PerSecond: n / seconds, Burst: int(math.Ceil(n))}
	if hasBurst {
		b, err := strconv.ParseUint(burst, 10, 32)
		if err != nil || b == 0 || b > maxBurst || strconv.FormatUint(b, 10) != burst {
			return casemate.Rate{}, rateError(text, "the burst is not a whole number from 1 to 10000000")
		}
		r.Burst = int(b)
	}
	return r, nil
}

// parseCount reads digits with at most one point and at most six decimals, above zero, without a useless leading zero.
func parseCount(s string) (float64, bool) {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || len(whole) > 7 || point && (fraction == "" || len(fraction) > 6) || len(whole) > 1 && whole[0] == '0' ||
		strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && n > 0
}

func rateError(text, why string) error {
	e := casemate.Errorf(casemate.Invalid, `write a rate like "10/s burst 20", "5/m" or "100/h"`, "%q is no rate: %s", text, why)
	e.Field = "rate"
	return e
}

// cell is a rate in the arithmetic of a bucket, in nanoseconds.
type cell struct {
	every int64 // one token takes this long to come
	depth int64 // a full bucket takes this long to come
}

// The slowest token and the deepest bucket: a month, and a century, both far from overflow.
const (
	maxEvery = int64(30 * 24 * 3600 * 1e9)
	maxDepth = int64(100 * 365 * 24 * 3600 * 1e9)
)

// newCell rounds against the caller: never more than the rate. A rate that is not a positive number, and a missing one,
// is the fallback, and a missing burst that of one second.
func newCell(r, fallback casemate.Rate) cell {
	if !valid(r) {
		r = fallback
	}
	every := math.Ceil(1e9 / r.PerSecond)
	c := cell{every: maxEvery}
	if every < float64(maxEvery) {
		c.every = max(int64(every), 1)
	}
	burst := int64(r.Burst)
	if burst <= 0 {
		burst = int64(math.Ceil(min(r.PerSecond, maxBurst)))
	}
	c.depth = maxDepth
	if burst <= maxDepth/c.every {
		c.depth = burst * c.every
	}
	return c
}

func valid(r casemate.Rate) bool { return r.PerSecond > 0 && !math.IsInf(r.PerSecond, 0) } // NaN is not above 0

// wait is how long until a bucket that is full again at the time full gives one token; 0 or less: it does now.
func (c cell) wait(full, now int64) int64 { return max(full, now) + c.every - c.depth - now }

// take is the new full time.
func (c cell) take(full, now int64) int64 { return max(full, now) + c.every }

// allowance is the bucket in the terms of the RateLimit header fields.
func (c cell) allowance(name string, full, now int64) casemate.Allowance {
	left := (c.depth - max(full-now, 0)) / c.every
	next := 0
	if left == 0 {
		next = int((c.every + 1e9 - 1) / 1e9)
	}
	return casemate.Allowance{Name: name, Quota: c.depth / c.every, Left: left, Window: int((c.depth + 1e9 - 1) / 1e9), Next: next}
}
