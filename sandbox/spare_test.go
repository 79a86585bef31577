package sandbox

import (
	"fmt"
	"testing"
	"time"

	"casemate"
)

func withSpares(n int) func(*Config) { return func(c *Config) { c.Spares = n } }

// waiting counts the sandboxes that wait and stand still, or run as an empty jail.
func (b *bench) waiting(r casemate.Runtime) int {
	n := 0
	for _, s := range b.pool.Snapshot() {
		if s.State == "waiting" && s.Runtime == r {
			n++
		}
	}
	return n
}

func (b *bench) settled(r casemate.Runtime, n int) {
	b.t.Helper()
	waitFor(b.t, fmt.Sprintf("%d waiting of %q", n, r), func() bool { return b.waiting(r) == n })
}

func TestFirstAnswerFromAWaitingInterpreter(t *testing.T) {
	b := newBench(t, withSpares(1))
	v := b.node("index.handler", `exports.handler = async (e) => [process.env.MINE, process.cwd(), __dirname, Object.keys(process.env).filter((n) => n.startsWith('_CASE'))]`)
	v.Env = map[string]string{"MINE": "yes", "NODE_ENV": "production"}
	b.pool.Prepare(v)
	b.settled("nodejs20.x", 1)
	for range 3 {
		began := time.Now()
		res := b.want(v, `{}`, `["yes","/var/task","/var/task",[]]`)
		t.Log(time.Since(began), res.Usage)
		b.settled("nodejs20.x", 1)
	}
}
