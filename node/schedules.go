package node

import (
	"context"
	"encoding/json"
	"time"

	"casemate"
	"casemate/catalog"
	"casemate/front/schedule"
	"casemate/store"
)

// openSchedules begins to run functions at the moments that apps name.
func (n *node) openSchedules(context.Context) error {
	kv, err := n.store.KV("schedules")
	if err != nil {
		return err
	}
	f, err := schedule.New(schedule.Config{Handler: n.gate.Handle, Marks: scheduleMarks{kv}, Place: n.cfg.Place, Clock: time.Now, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	n.schedules.Store(f)
	n.onClose(func() error { f.Stop(); return nil })
	n.scheduled(n.catalog.Snapshot())
	return nil
}

// scheduled has the schedules in force at work.
func (n *node) scheduled(s *catalog.Snapshot) {
	if f := n.schedules.Load(); f != nil { // nil while opening: openSchedules does it
		f.Set(s.Schedules())
	}
}

// scheduleMarks implements schedule.Marks.
type scheduleMarks struct{ kv store.KV }

func (m scheduleMarks) Get(ctx context.Context, id string) (x schedule.Mark, err error) {
	e, err := m.kv.Get(ctx, id)
	if casemate.CodeOf(err) == casemate.NotFound {
		return x, nil
	}
	if err != nil {
		return x, err
	}
	return x, json.Unmarshal(e.Value, &x)
}

func (m scheduleMarks) Keep(ctx context.Context, id string, x schedule.Mark) error {
	data, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = m.kv.Put(ctx, id, data, store.AnyRevision)
	return err
}

func (m scheduleMarks) Drop(ctx context.Context, id string) error {
	return m.kv.Delete(ctx, id, store.AnyRevision)
}

// ScheduleState is a schedule as it stands.
type ScheduleState struct {
	casemate.Schedule
	Last   time.Time `json:"last,omitzero"`
	Next   time.Time `json:"next,omitzero"`
	Result string    `json:"result,omitempty"`
}

// scheduleBuiltins list the schedules, and run one now.
func (n *node) scheduleBuiltins() map[string]builtin {
	return map[string]builtin{
		"schedule.list": question("casemate:ListSchedules", "schedule", func(context.Context, *casemate.Launch, struct{}) (any, error) {
			all := []ScheduleState{}
			for _, s := range n.catalog.Snapshot().Schedules() {
				st, _ := n.schedules.Load().Status(s.ID())
				all = append(all, ScheduleState{*s, st.Last, st.Next, st.Result})
			}
			return all, nil
		}),
		"schedule.run": named(question("casemate:RunSchedule", "schedule", func(ctx context.Context, l *casemate.Launch, q IDQuestion) (any, error) {
			if err := covers(l, n.judge, "casemate:RunSchedule", "schedule", q.ID); err != nil {
				return nil, err
			}
			id, err := n.schedules.Load().Run(ctx, q.ID)
			return IDQuestion{id}, err
		})),
	}
}
