// Package entry is how a record of the audit log is written: as one line of JSON of bounded length in which nothing that
// looks like a credential is left. It is pure.
package entry
