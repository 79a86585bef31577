package telemetry

import "time"

// What asynchronous events come to, as AWS Lambda counts it: AsyncEventsReceived, AsyncEventAge, AsyncEventsDropped and
// DestinationDeliveryFailures (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#async-invocation-metrics),
// and how much waits for each function.

// Received counts an event that was queued for a function.
func (t *Exporter) Received(function string) { t.async(famAsyncReceived, 1, function) }

// Aged notes how old an event was when an attempt at it began.
func (t *Exporter) Aged(function string, age time.Duration) {
	t.async(famAsyncAge, max(age, 0).Seconds(), function)
}

// Dropped counts an event that will not be tried again, by the word for why.
func (t *Exporter) Dropped(function, why string) { t.async(famAsyncDropped, 1, function, why) }

// Undelivered counts word of an event's end that its destination did not take.
func (t *Exporter) Undelivered(function string) { t.async(famAsyncUndelivered, 1, function) }

func (t *Exporter) async(fam int, v float64, labels ...string) {
	if t != nil {
		t.metrics.add(fam, v, labels...)
	}
}

// Waiting is how many queued events wait for a function, the run that is going on included.
type Waiting struct {
	Function string
	Events   uint64
	Oldest   time.Time
}

// Ask says where Waiting comes from: it is asked whenever metrics are read or exported. It is set once, before Start's exports
// matter.
func (t *Exporter) Ask(waiting func() []Waiting) {
	if t == nil {
		return
	}
	t.metrics.mu.Lock()
	defer t.metrics.mu.Unlock()
	t.metrics.waiting = waiting
}

// fill sets the gauges as of now.
func (r *registry) fill(now time.Time) {
	r.mu.Lock()
	ask := r.waiting
	r.mu.Unlock()
	if ask == nil {
		return
	}
	all := ask()
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.all[famAsyncDepth])
	clear(r.all[famAsyncOldest])
	for _, w := range all {
		r.put(famAsyncDepth, float64(w.Events), w.Function)
		r.put(famAsyncOldest, max(now.Sub(w.Oldest), 0).Seconds(), w.Function)
	}
}
