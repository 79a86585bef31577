package lambda

import (
	"strconv"
	"time"
)

// ScheduledEvent writes the event of a rule with a schedule
// (https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html): at is the moment that was due, to the second.
func ScheduledEvent(id, account, region, rule string, at time.Time) []byte {
	b := append(make([]byte, 0, 512), `{"version":"0"`...)
	b = appendField(b, "id", id)
	b = append(b, `,"detail-type":"Scheduled Event","source":"aws.events"`...)
	b = appendField(b, "account", account)
	b = append(b, `,"time":`...)
	b = strconv.AppendQuote(b, at.UTC().Format(time.RFC3339))
	b = appendField(b, "region", region)
	b = appendList(b, "resources", []string{rule})
	return append(b, `,"detail":{}}`...)
}
