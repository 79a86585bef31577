// Package secrets holds promise S7 against a whole node: plaintext canaries are stored as secrets and parameters, read by
// functions, sent in requests that fail, and then searched for, in several encodings, in every byte that the node wrote:
// its files, its own log, what it exported, what it answered to those who may not know, and in the arguments and the
// environment of each of its processes.
//
// What a function itself writes to its log is not the node's: such a line is kept as it was written, and the test shows
// that the search finds it there.
package secrets
