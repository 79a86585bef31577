// Package expand takes the values of an event apart: JSON in strings, base64, percent and HTML encodings, escapes, gzip,
// forms, multipart and XML, inside each other, until nothing is left to decode or a bound is met. What it gives out is what
// a function could come to see, so that each layer is screened as what it is. It is pure and deterministic: equal fields
// give equal pieces in equal order.
package expand
