// Package browser decides what browsers are told about an answer, and what is taken from them: which pages of other origins
// may call a route and read its answers, which security headers are added, how cookies are hardened. It is pure: functions
// over a route's settings, compiled once, and header maps with names in their canonical form.
package browser
