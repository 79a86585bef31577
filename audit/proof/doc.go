// Package proof shows that an audit log is what it was: checkpoints, exports, proofs that a record is in it, and the
// offline verifier of all three. It is pure, and knows neither the node nor its store.
package proof
