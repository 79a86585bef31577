// Package analysis answers questions about policies and about what they decided: who can, what can, what would be decided
// otherwise, what was granted and never used. It reads records and explanations and decides nothing by itself. It is pure.
package analysis
