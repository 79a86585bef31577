package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/deploy/manifest"
	"casemate/internal/casetest/guests"
	"casemate/internal/casetest/nodetest"
)

// post is an app of queues, schedules and destinations. What comes to "work" always fails and is put aside, so that each
// message can be looked for where it has to end.
const post = `app: post
functions:
  taker: {runtime: wasm, code: trap.wasm, timeout: 2s, memory: 32MB, rate: 100000/s burst 100000, grants: ["receive queue/work"], events: [{queue: work}]}
  told: {runtime: wasm, code: echo.wasm, timeout: 30s, memory: 32MB, rate: 100000/s burst 100000, grants: ["send queue/done"], async: {on_success: queue/done}}
  failing: {runtime: wasm, code: trap.wasm, timeout: 30s, memory: 32MB, rate: 100000/s burst 100000, grants: ["send queue/failed"], async: {retries: 0, on_failure: queue/failed}}
  ticks: {runtime: wasm, code: echo.wasm, timeout: 30s, memory: 32MB, grants: ["send queue/ticked"], async: {on_success: queue/ticked}}
  alone: {runtime: wasm, code: echo.wasm, timeout: 30s, memory: 32MB}
queues:
  jobs: {visibility: 2s, dead_letter: {queue: dead, max_receives: 2}}
  dead: {visibility: 2s}
  line.fifo: {visibility: 2s}
  work: {visibility: 2s, dead_letter: {queue: spent, max_receives: 1}}
  spent: {visibility: 2s}
  done: {visibility: 2s}
  failed: {visibility: 2s}
  ticked: {visibility: 2s}
routes:
  POST /told: {function: told, auth: [key], rate: 100000/s burst 100000}
  POST /failing: {function: failing, auth: [key], rate: 100000/s burst 100000}
roles:
  poster:
    grants: [call POST /told, call POST /failing]
    statements: [{Effect: Allow, Action: "sqs:*", Resource: "*"}]
`

// visible is the visibility timeout of every queue above.
const visible = 2 * time.Second

// desk is what was said to whoever used the queues, over the lives of one node.
type desk struct {
	*promise
	key     string            // file with the key of whoever is at the desk
	sent    map[string]string // queue of each message that was acknowledged, by its body
	taken   map[string]bool   // bodies that were received, and that somebody began to delete
	gone    map[string]bool   // and whose deletion was acknowledged
	lines   [3]line           // the groups of line.fifo
	words   map[string]string // queue that word of each asynchronous event must come to, by the event's id
	moments map[string]string // function of each moment of a schedule that has to come, by its time
	heard   map[string]map[string]bool
}

// line is one message group. Its messages are its numbers, from 1.
type line struct {
	sent  int          // the last one that was acknowledged
	next  int          // the first one that nobody is sure to have deleted
	asked map[int]bool // those whose deletion was sent
}

func newDesk(t *testing.T) *desk {
	d := &desk{promise: newPromise(), key: filepath.Join(t.TempDir(), "key"), sent: map[string]string{}, taken: map[string]bool{}, gone: map[string]bool{}, words: map[string]string{}, moments: map[string]string{}, heard: map[string]map[string]bool{}}
	for i := range d.lines {
		d.lines[i] = line{next: 1, asked: map[int]bool{}}
	}
	return d
}

// bundle packs the app with so many moments, one in each second from begin on. Every other one runs in place.
func (d *desk) bundle(t *testing.T, moments int, begin time.Time) []byte {
	t.Helper()
	text := post
	if moments > 0 {
		text += "schedules:\n"
	}
	begin = begin.UTC().Truncate(time.Second)
	for i := range moments {
		at, what := begin.Add(time.Duration(i)*time.Second), "ticks"
		more := ""
		if i%2 == 1 {
			what, more = "alone", ", overlap: skip"
		}
		text += fmt.Sprintf("  m%03d: {function: %s, when: %q%s}\n", i, what, "at("+at.Format("2006-01-02T15:04:05")+")", more)
		d.moments[at.Format(time.RFC3339)] = what
	}
	return nodetest.Pack(t, map[string][]byte{manifest.File: []byte(text), "echo.wasm": guests.Echo(), "trap.wasm": guests.Trap()})
}

// furnish deploys the app with so many moments and makes the desk's key.
func (d *desk) furnish(t *testing.T, n *node, moments int) (key string) {
	t.Helper()
	began := time.Now()
	if err := n.deploy(d.bundle(t, 0, began)); err != nil {
		t.Fatal(err)
	}
	if moments > 0 { // a moment that is over when it is deployed never comes: a slow machine has more time
		now := time.Now()
		if err := n.deploy(d.bundle(t, moments, now.Add(max(3*time.Second, 10*now.Sub(began))))); err != nil {
			t.Fatal(err)
		}
	}
	key = newKey(t, n, "poster")
	if err := os.WriteFile(d.key, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	return key
}

// begin starts senders, receivers and callers on one life of a node.
func (d *desk) begin(t *testing.T, n *node, key string, seed uint64) *load {
	l := d.open(t, n, key, seed)
	l.worker(0, func(*rand.Rand) bool { return d.send(l, "jobs") })
	l.worker(1, func(*rand.Rand) bool { return d.send(l, "work") })
	l.worker(2, func(r *rand.Rand) bool { return d.take(l, "jobs", r) })
	l.worker(3, func(r *rand.Rand) bool { return d.take(l, "dead", r) })
	for i := range d.lines {
		l.worker(4+uint64(i), func(*rand.Rand) bool { return d.queueUp(l, i) })
	}
	l.worker(7, func(r *rand.Rand) bool { return d.takeInOrder(l, r) })
	l.worker(8, func(*rand.Rand) bool { return d.event(l, "told", "done") })
	l.worker(9, func(*rand.Rand) bool { return d.event(l, "failing", "failed") })
	return l
}

// ask asks for an operation of SQS with the desk's key.
func (d *desk) ask(n *node, operation string, in, out any) error {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	c, err := n.Admin.WithKey(d.key)
	if err != nil {
		return err
	}
	return c.Call(ctx, operation, in, out)
}

func (d *desk) send(l *load, queue string) bool {
	body := casemate.NewID()
	if err := d.ask(l.n, "sqs.SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": body}, nil); err != nil {
		return l.refused("sending to "+queue, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent[body] = queue
	return true
}

// message is one that was received.
type message struct {
	Body, ReceiptHandle string
	Attributes          map[string]string
}

func (d *desk) receive(l *load, queue string, wait int) (list []message, began time.Time, err error) {
	var out struct{ Messages []message }
	began = time.Now()
	err = d.ask(l.n, "sqs.ReceiveMessage", map[string]any{"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait, "AttributeNames": []string{"All"}}, &out)
	return out.Messages, began, err
}

func (d *desk) delete(l *load, queue string, m message) error {
	return d.ask(l.n, "sqs.DeleteMessage", map[string]any{"QueueUrl": queue, "ReceiptHandle": m.ReceiptHandle}, nil)
}

// patient is how many seconds a receiver waits for the first message: r is that of a worker, and nil when a queue is emptied.
func patient(r *rand.Rand) int {
	if r == nil {
		return 0
	}
	return 1
}

// take receives from a standard queue and deletes; with r, a third is left to come back.
func (d *desk) take(l *load, queue string, r *rand.Rand) bool {
	list, began, err := d.receive(l, queue, patient(r))
	if err != nil {
		return l.refused("receiving from "+queue, err)
	}
	for _, m := range list {
		d.mu.Lock()
		back := d.gone[m.Body]
		leave := r != nil && r.IntN(3) == 0
		d.taken[m.Body] = d.taken[m.Body] || !leave
		d.mu.Unlock()
		if back {
			d.breach("%s was deleted from %s, and is back", m.Body, queue)
		}
		if leave {
			continue
		}
		if err := d.delete(l, queue, m); err != nil {
			return l.refused("deleting from "+queue, err)
		}
		if time.Since(began) < visible { // later the handle may be one of a receive before, which deletes nothing
			d.mu.Lock()
			d.gone[m.Body] = true
			d.mu.Unlock()
		}
	}
	return true
}

// queueUp sends the next number of a group. One whose sending was not answered is sent again, and must not be there twice.
func (d *desk) queueUp(l *load, group int) bool {
	g := &d.lines[group]
	number := strconv.Itoa(g.sent + 1)
	in := map[string]any{"QueueUrl": "line.fifo", "MessageBody": number, "MessageGroupId": strconv.Itoa(group), "MessageDeduplicationId": strconv.Itoa(group) + "-" + number}
	if err := d.ask(l.n, "sqs.SendMessage", in, nil); err != nil {
		return l.refused("sending to line.fifo", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g.sent++
	return true
}

// takeInOrder is the one receiver of line.fifo: every message is the first of its group that is not deleted.
func (d *desk) takeInOrder(l *load, r *rand.Rand) bool {
	list, _, err := d.receive(l, "line.fifo", patient(r))
	if err != nil {
		return l.refused("receiving from line.fifo", err)
	}
	left := map[string]bool{} // groups in which one was not deleted: those behind it come again with it
	for _, m := range list {
		group := m.Attributes["MessageGroupId"]
		if left[group] {
			continue
		}
		number, i := 0, 0
		if _, err := fmt.Sscan(m.Body+" "+group, &number, &i); err != nil || i < 0 || i >= len(d.lines) {
			d.breach("line.fifo gave %q of group %q", m.Body, group)
			return false
		}
		if left[group] = !d.isNext(&d.lines[i], group, number) || r != nil && r.IntN(16) == 0; left[group] {
			continue
		}
		d.lines[i].asked[number] = true
		err := d.delete(l, "line.fifo", m)
		switch {
		case err == nil:
			d.lines[i].next = number + 1
		case casemate.CodeOf(err) == casemate.Invalid: // its visibility timeout was over
			left[group] = true
		default:
			return l.refused("deleting from line.fifo", err)
		}
	}
	return true
}

// isNext holds a number against the order. The receiver alone looks at next and asked.
func (d *desk) isNext(g *line, group string, number int) bool {
	for g.next < number && g.asked[g.next] { // its deletion was not answered, and has been done
		g.next++
	}
	switch {
	case number < g.next:
		d.breach("%d of group %s was deleted, and is back: %d is next", number, group, g.next)
	case number > g.next:
		d.breach("%d of group %s comes before %d", number, group, g.next)
	}
	return number == g.next
}

// event calls a function asynchronously; word of it has to come to a queue.
func (d *desk) event(l *load, function, queue string) bool {
	a, err := l.n.send("POST", "/"+function, l.key, `{"a":1}`, "", true)
	if err != nil {
		return false
	}
	if a.status != 202 {
		d.breach("%s answered %d: %s", function, a.status, a.body)
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.words[a.id] = queue
	return true
}

// hear empties a queue of records of how events ended.
func (d *desk) hear(t *testing.T, l *load, queue string) {
	t.Helper()
	if d.heard[queue] == nil {
		d.heard[queue] = map[string]bool{}
	}
	list, _, err := d.receive(l, queue, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		var word struct {
			RequestContext struct{ RequestID string }
			RequestPayload struct{ Time string }
		}
		if err := json.Unmarshal([]byte(m.Body), &word); err != nil {
			t.Fatalf("%s holds %q: %v", queue, m.Body, err)
		}
		d.heard[queue][word.RequestContext.RequestID] = true
		d.heard[queue][word.RequestPayload.Time] = true
		if err := d.delete(l, queue, m); err != nil {
			t.Fatal(err)
		}
	}
}

// drain empties every queue and waits for what is still to come, then says what is missing.
func (d *desk) drain(t *testing.T, n *node) {
	t.Helper()
	settles(t, n)
	l := d.open(t, n, "", 0)
	await(t, "the queues to become empty", func() bool {
		for _, queue := range []string{"jobs", "dead", "spent"} {
			d.take(l, queue, nil)
		}
		d.takeInOrder(l, nil)
		for _, queue := range []string{"done", "failed", "ticked"} {
			d.hear(t, l, queue)
		}
		var all []struct {
			Messages struct {
				Visible, Delayed int
				InFlight         int `json:"in_flight"`
			}
		}
		if err := n.call("queue.list", nil, &all); err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, q := range all {
			left += q.Messages.Visible + q.Messages.Delayed + q.Messages.InFlight
		}
		return left == 0 && len(all) == strings.Count(post, "visibility:")
	})
	l.end()
	for body, queue := range d.sent {
		if !d.taken[body] {
			t.Errorf("%s was sent to %s and acknowledged, and is lost", body, queue)
		}
	}
	for i, g := range d.lines {
		if g.next <= g.sent {
			t.Errorf("group %d: %d were acknowledged, %d came", i, g.sent, g.next-1)
		}
	}
	for id, queue := range d.words {
		if !d.heard[queue][id] {
			t.Errorf("event %s was accepted, and no word of it came to %s", id, queue)
		}
	}
}

// happened waits for word of every moment that is queued.
func (d *desk) happened(t *testing.T, n *node) {
	t.Helper()
	l := d.open(t, n, "", 0)
	defer l.end()
	await(t, "every moment of the schedules", func() bool {
		d.hear(t, l, "ticked")
		for at, function := range d.moments {
			if function == "ticks" && !d.heard["ticked"][at] {
				return false
			}
		}
		return true
	})
}

// ranInPlace looks in the record for the moments that run in place: each is there, once for each time that it was begun.
func (d *desk) ranInPlace(t *testing.T, n *node) {
	t.Helper()
	want := 0
	for _, function := range d.moments {
		if function == "alone" {
			want++
		}
	}
	await(t, "every moment that runs in place", func() bool {
		ran := map[string]int{}
		for _, r := range export(t, n) {
			if r.Source == casemate.SourceSchedule && r.Function == "alone" {
				ran[r.ID]++
			}
		}
		return len(ran) == want
	})
}

// work sends and takes a few messages, and wants none refused.
func (d *desk) work(t *testing.T, n *node) {
	t.Helper()
	l := d.open(t, n, "", 0)
	for range 3 {
		if !d.send(l, "jobs") || !d.queueUp(l, 0) {
			t.Error("a message is refused")
		}
	}
	if !d.take(l, "jobs", rand.New(rand.NewPCG(1, 1))) {
		t.Error("receiving is refused")
	}
	l.end()
}

// refused wants new messages refused for want of space, and takes those that there are as far as that goes.
func (d *desk) refused(t *testing.T, n *node) {
	t.Helper()
	l := d.open(t, n, "", 0)
	d.take(l, "jobs", nil)
	l.end()
	for queue, in := range map[string]map[string]any{"jobs": {}, "line.fifo": {"MessageGroupId": "full", "MessageDeduplicationId": "full"}} {
		in["QueueUrl"], in["MessageBody"] = queue, "x"
		var e *casemate.Error
		err := d.ask(n, "sqs.SendMessage", in, nil)
		if !errors.As(err, &e) || e.Code != casemate.Unavailable || !strings.Contains(e.Hint, "disk") {
			t.Errorf("a message to %s on a full disk: %v", queue, err)
		}
	}
}

// TestQueuesOverKills kills a node with signal 9 in the middle of sending, receiving and deleting, again and again. No
// message that was acknowledged is lost, none comes again after its deletion was acknowledged, and no group of a FIFO queue
// is handed out in another order; word of every asynchronous event comes to its destination, and every moment of a schedule
// is run, those among them that nobody was there for.
// Lambda checklist: 60, 65
func TestQueuesOverKills(t *testing.T) {
	rounds := 2
	if shared.full {
		rounds = 60
	}
	rnd, dir, d := draw(t), folder(t), newDesk(t)
	n := mustStart(t, dir)
	key := d.furnish(t, n, 2*rounds+1)
	for round := range rounds {
		l := d.begin(t, n, key, rnd.Uint64())
		l.reach(50 + rnd.IntN(150))
		n.kill()
		l.end()
		if t.Failed() {
			t.Fatalf("in round %d", round+1)
		}
		n = mustStart(t, dir)
	}
	d.drain(t, n)
	d.happened(t, n)
	d.ranInPlace(t, n)
	verifies(t, n)
	n.stop()
	t.Logf("%d kills: %d messages, %d deleted, %d events, %d moments", rounds, len(d.sent), len(d.gone), len(d.words), len(d.moments))
}
