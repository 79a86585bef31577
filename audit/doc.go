// Package audit keeps the record of everything that happened: an append-only stream, sealed in a Merkle tree
// (RFC 6962) whose signed checkpoints let anybody show, offline, that nothing was edited, deleted, reordered or rolled
// back. A record is opened before anything runs and closed once; what was open when the node died is closed as
// "interrupted" at the next start. This is the only room that writes the stream.
package audit
