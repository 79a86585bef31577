// Package quota says whether there is room: token buckets per source, per principal and route and per function, and runs
// at once per function and per node. It is arithmetic on the time it is handed: no clock, no I/O, no goroutine.
//
// A bucket is a generic cell rate algorithm: one number, the time at which the bucket will be full again. So a bucket that
// is full is no information, and may be forgotten; one that is not is never forgotten, however many keys arrive.
package quota
