// Package schedule is the event source for time: it has functions run at the moments that their apps name. Each moment is an event
// of its own, in the name of its schedule.
//
// A moment is queued durably, as an asynchronous event with the retries of its function, before it counts as done; a node that was
// killed in between queues it again under the same id: at least once. A schedule whose runs must not overlap runs in here
// instead, one at a time, and a moment counts as done when its run has ended. What the node missed while it was away is made up
// for as the schedule says: once, each, or not.
package schedule
