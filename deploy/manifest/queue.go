package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"casemate"
	"casemate/pattern"
)

// Queue is a message queue, as of Amazon SQS.
type Queue struct {
	Visibility Duration    `key:"visibility" min:"1s" max:"12h" doc:"How long a message that was received is hidden from others (default 30s)."`
	Delay      Duration    `key:"delay" min:"1s" max:"15m" doc:"How long a new message is hidden (default not at all)."`
	Retention  Duration    `key:"retention" min:"1m" max:"336h" doc:"Age at which a message is dropped (default 96h)."`
	Wait       Duration    `key:"wait" min:"1s" max:"20s" doc:"How long a receive that says nothing waits for a message (default not at all)."`
	MaxSize    Size        `key:"max_size" min:"1KB" max:"1MB" doc:"Largest message, its attributes included (default 1MB)."`
	DeadLetter *DeadLetter `key:"dead_letter" doc:"Where messages go that were received too often."`
	Dedup      string      `key:"dedup" one:"id content" doc:"FIFO queues: a duplicate is told by the id that its sender gives (default), or by its content."`
	Scope      string      `key:"dedup_scope" one:"queue group" doc:"FIFO queues: duplicates are looked for in the queue (default), or in one message group."`
}

// DeadLetter is a queue's dead-letter queue.
type DeadLetter struct {
	Queue    string `key:"queue" need:"" like:"^[A-Za-z0-9_-]{1,75}([.]fifo)?$" doc:"Name of the queue, of this app."`
	Receives int    `key:"max_receives" need:"" min:"1" max:"1000" doc:"Receives after which a message is moved."`
}

// Event is a source whose events a function gets.
type Event struct {
	Queue       string   `key:"queue" need:"" like:"^[A-Za-z0-9_-]{1,75}([.]fifo)?$" doc:"Name of the queue. The function needs a grant of its own: \"receive queue/jobs\"."`
	Batch       int      `key:"batch" min:"1" max:"10000" doc:"Messages of one event (default 10; more than 10 need a window, and no FIFO queue)."`
	Window      Duration `key:"window" min:"1s" max:"300s" doc:"How long a batch is waited for to fill (default not at all)."`
	Partial     string   `key:"partial" one:"report off" doc:"report: the function says in batchItemFailures which messages failed (ReportBatchItemFailures); else all of a batch fail together (default)."`
	Filter      []string `key:"filter" doc:"Event patterns as JSON, one of which a message must match; others are dropped: '{\"body\": {\"kind\": [\"order\"]}}'."`
	Concurrency int      `key:"concurrency" min:"2" max:"1000" doc:"Events of this source that run at once (default: as the function allows)."`
	State       string   `key:"state" one:"enabled disabled" doc:"disabled: messages stay in the queue (default enabled)."`
}

// DefaultVisibility is that of a queue that says none.
const DefaultVisibility = Duration(30 * time.Second)

// MaxFilters is how many patterns a source may have, as of Lambda.
const MaxFilters = 10

// queues checks the queues, and the sources of functions.
func (c *checker) queues() {
	for _, name := range slices.Sorted(maps.Keys(c.Queues)) {
		q, ptr := c.Queues[name], "/queues/"+Escape(name)
		fifo := strings.HasSuffix(name, ".fifo")
		if !fifo && q.Dedup+q.Scope != "" {
			c.bad(ptr, "name it "+name+".fifo", "duplicates are looked for in FIFO queues alone, whose names end in .fifo")
		}
		d := q.DeadLetter
		switch {
		case d == nil:
		case c.Queues[d.Queue] == nil:
			c.bad(ptr+"/dead_letter/queue", meant(d.Queue, slices.Sorted(maps.Keys(c.Queues))), "there is no queue %q in this app", d.Queue)
		case d.Queue == name:
			c.bad(ptr+"/dead_letter/queue", "declare another one", "a queue is not its own dead-letter queue")
		case strings.HasSuffix(d.Queue, ".fifo") != fifo:
			c.bad(ptr+"/dead_letter/queue", "", "the dead-letter queue of a FIFO queue is one as well, and that of another is not")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Functions)) {
		seen := map[string]bool{}
		for i := range c.Functions[name].Events {
			e, ptr := &c.Functions[name].Events[i], fmt.Sprintf("/functions/%s/events/%d", Escape(name), i)
			if seen[e.Queue] {
				c.bad(ptr+"/queue", "", "the function gets the events of %s already", e.Queue)
			}
			seen[e.Queue] = true
			c.event(ptr, e, c.Functions[name])
		}
	}
}

func (c *checker) event(ptr string, e *Event, f *Function) {
	fifo := strings.HasSuffix(e.Queue, ".fifo")
	switch {
	case fifo && e.Batch > 10:
		c.bad(ptr+"/batch", "batch: 10", "a FIFO queue gives 10 messages at a time at most")
	case fifo && e.Window > 0:
		c.bad(ptr+"/window", "", "a FIFO queue waits for no batch")
	case e.Batch > 10 && e.Window == 0:
		c.bad(ptr+"/batch", "window: 1s", "a batch of more than 10 needs a window to fill in")
	}
	if len(e.Filter) > MaxFilters {
		c.bad(ptr+"/filter", "", "10 patterns at most")
	}
	for i, p := range e.Filter {
		if _, err := pattern.Parse([]byte(p)); err != nil {
			x := casemate.AsError(err)
			c.bad(fmt.Sprintf("%s/filter/%d", ptr, i), x.Hint, "the pattern is invalid%s", at(x.Field))
		}
	}
	if q := c.Queues[e.Queue]; q != nil {
		visible, timeout := DefaultVisibility, f.Timeout
		if q.Visibility > 0 {
			visible = q.Visibility
		}
		if timeout > visible {
			c.bad(ptr+"/queue", "give the queue a visibility of at least the function's timeout; AWS advises six times as much",
				"messages of %s come back while the function may still be at work on them", e.Queue)
		}
	} else {
		c.warn(ptr+"/queue", "declare it in queues, or make it with CreateQueue", "the queue %s is not of this app: nothing comes while there is none", e.Queue)
	}
}

func at(field string) string {
	if field == "" {
		return ""
	}
	return " at " + field
}
