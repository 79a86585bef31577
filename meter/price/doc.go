// Package price says what an event costs: a price book, which is data, and its arithmetic, which is exact. Amounts are
// integers of a billionth of the currency; nothing is a float, and what cannot be held is an error and never wraps.
//
// The rule of rounding: every item of every record is rounded up on its own. So what a record costs depends on that record
// and its book alone, and sums are the same in any order. Free quantities and tiers belong to a month and not to an event:
// they come off the bill (Saved), and a budget does not know of them.
package price
