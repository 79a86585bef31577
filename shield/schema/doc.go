// Package schema reads JSON and YAML within bounds and holds values to JSON Schema, stricter than the standard where that
// fails open: objects are closed, formats asserted, unknown words refused. It says of every value that it takes which texts
// in it are left free. It is pure: no clock, no I/O. Its errors name the place and the rule, never the caller's value.
package schema
