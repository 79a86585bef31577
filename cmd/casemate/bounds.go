package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"casemate"
)

const (
	unbounded = math.MaxInt64 // no bound above that a person could mean
	most      = 1 << 30       // of connections, streams and bytes a second: sums and multiples of it are numbers still
	longest   = 24 * time.Hour
)

// bounded is the value of a flag that is a number or a length of time, held to its bounds as it is read: what cannot be
// kept is refused, and never taken as the default or as no limit.
type bounded struct {
	pflag.Value
	low, high int64
}

// within holds the flag, which is of type int, int64 or duration, to its bounds, both included. A default may lie outside:
// it says what no value at all means. A test holds that every such flag of every verb has bounds.
func within[T int | int64 | time.Duration](fl *pflag.FlagSet, name string, low, high T) {
	f := fl.Lookup(name)
	f.Value = &bounded{f.Value, int64(low), int64(high)}
	if f.DefValue == "0s" {
		f.DefValue = "0" // so that help tells it of no type but pflag's own that it is none
	}
}

func (b *bounded) Set(text string) error {
	before := b.String()
	if err := b.Value.Set(text); err != nil {
		return err
	}
	n, err := b.number()
	if err == nil && (n < b.low || n > b.high) {
		err = outOfBounds(b.rule())
	}
	if err != nil {
		_ = b.Value.Set(before)
	}
	return err
}

// number is the value as it is now, a length of time in nanoseconds.
func (b *bounded) number() (int64, error) {
	if b.Type() == "duration" {
		d, err := time.ParseDuration(b.String())
		return int64(d), err
	}
	return strconv.ParseInt(b.String(), 10, 64)
}

// outOfBounds is the rule that a value broke.
type outOfBounds string

func (e outOfBounds) Error() string { return string(e) }

// rule says the bounds: "must be from 1 to 90".
func (b *bounded) rule() string {
	low, high := strconv.FormatInt(b.low, 10), strconv.FormatInt(b.high, 10)
	if b.Type() == "duration" {
		low, high = span(b.low), span(b.high)
		if b.low == 1 { // nanosecond
			low = "more than 0"
			if b.high != unbounded {
				low += " and at most " + high
			}
			return "must be " + low
		}
	}
	if b.high == unbounded {
		return "must be at least " + low
	}
	return "must be from " + low + " to " + high
}

// span is a length of time as a person would write it: 24h, not 24h0m0s.
func span(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// refused tells of a value outside the bounds of f: the bounds, what the flag is for, and what holds without it.
func (e outOfBounds) refused(f *pflag.Flag, err error) *casemate.Error {
	hint := f.Usage
	if f.DefValue != "0" {
		hint += "; " + f.DefValue + " where the flag is left out"
	}
	return &casemate.Error{Code: casemate.Invalid, Field: "--" + f.Name, Message: string(e), Hint: hint, Err: err}
}
