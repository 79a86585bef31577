package node

import (
	"context"
	"time"

	"casemate"
)

// Box is one sandbox at one moment, as `casemate top` shows it.
type Box struct {
	ID        string             `json:"id"`
	Function  string             `json:"function"` // empty: waiting, nobody's yet
	Version   int                `json:"version,omitempty"`
	Runtime   casemate.Runtime   `json:"runtime"`
	Isolation casemate.Isolation `json:"isolation,omitempty"`
	Partition string             `json:"partition,omitempty"` // the first digits of its digest
	State     string             `json:"state"`               // waiting, starting, busy, idle, frozen
	Started   time.Time          `json:"started"`
	Memory    int64              `json:"memory_bytes"`
	Peak      int64              `json:"peak_bytes"`
	CPU       time.Duration      `json:"cpu_ns"`
	Runs      int                `json:"runs"`
	Refusals  int                `json:"refusals"`
}

// Frame is what the node shows at one moment.
type Frame struct {
	At      time.Time `json:"at"`
	Running int       `json:"running"`
	Boxes   []Box     `json:"sandboxes"`
}

// Bounds of the time between two frames.
const (
	MinInterval = 200 * time.Millisecond
	MaxInterval = time.Minute
)

func (n *node) topBuiltins() map[string]builtin {
	type ask struct {
		Every time.Duration `json:"every_ns"`
	}
	return map[string]builtin{"top": stream("casemate:ReadState", "node", func(ctx context.Context, _ *casemate.Launch, in ask, say func(any) error) error {
		tick := time.NewTicker(min(max(in.Every, MinInterval), MaxInterval))
		defer tick.Stop()
		for {
			if err := say(n.frame(time.Now())); err != nil {
				return endOfStream(ctx, err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	})}
}

func (n *node) frame(now time.Time) Frame {
	return Frame{At: now, Running: n.quota.Running(), Boxes: n.boxes()}
}
