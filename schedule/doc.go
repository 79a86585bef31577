// Package schedule reads when something is to happen again and again, or once: rates and cron expressions as Amazon EventBridge
// Scheduler has them (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html), and the five fields of
// crontab(5). It is pure: the clock is an argument.
package schedule
