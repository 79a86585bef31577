// Package shield keeps hostile bytes away from functions: it decodes bodies to a bound, holds JSON against limits before
// anything builds it, and against the contract of its route. It is pure: no clock, no I/O. Its errors name the place
// and the rule, never the caller's value.
package shield
