// Package meter counts what was used: per day, function and caller. Its figures are a sum over the audit log and nothing
// else, so they can be computed again from it at any time and come out the same.
package meter
