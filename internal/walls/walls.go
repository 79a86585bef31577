//go:build !nowalls

// Package walls says whether this build has its walls. Every ordinary build has. The tag "nowalls" takes them away, so
// that the battery of attacks (test/battery) can show each attack working: a test of a wall that would pass without the
// wall tests nothing. Such a build says so wherever it introduces itself, listens on loopback alone, and needs
// --allow-weak-sandbox on top.
package walls

// Up is true: the walls stand.
const Up = true
