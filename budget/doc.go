// Package budget holds money back for what events may cost, and refuses what a hard budget has no money for.
//
// What is spent is what the audit log says: every counter is a sum over the costs of records, and after any end of the node
// it is brought up to that sum before anything runs. Between the two a hold stands in: the most that a run can cost, taken
// before it starts. A hold waits for no disk: each hard counter has a share of its budget allotted durably in advance, and
// spends from it in memory. After a kill -9 the records are all there, and the shares fall back; after a power cut, which may
// have lost the last records, what was allotted counts as spent.
package budget
