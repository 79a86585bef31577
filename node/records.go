package node

import (
	"context"
	"errors"

	"casemate"
	"casemate/audit"
)

// IDQuestion names one thing.
type IDQuestion struct {
	ID string `json:"id"`
}

// auditBuiltins are the reads of the record. Reading it is an act, and is recorded like any other.
func auditBuiltins(log *audit.Log) map[string]builtin {
	return map[string]builtin{
		"audit.list": question("casemate:ListRecords", "record", func(ctx context.Context, _ *casemate.Launch, f audit.Filter) (any, error) {
			return log.List(ctx, f)
		}),
		"audit.show": question("casemate:ReadRecord", "record", func(ctx context.Context, _ *casemate.Launch, q IDQuestion) (any, error) {
			return log.Show(ctx, q.ID)
		}),
		"audit.prove": question("casemate:ReadRecord", "record", func(ctx context.Context, _ *casemate.Launch, q IDQuestion) (any, error) {
			return log.Prove(ctx, q.ID)
		}),
		"audit.verify": question("casemate:VerifyRecords", "record", func(ctx context.Context, _ *casemate.Launch, _ struct{}) (any, error) {
			report, err := log.Verify(ctx)
			return report, Tampered(err)
		}),
		"audit.export": {action: "casemate:ExportRecords", kind: "record", body: questionLimit, run: func(ctx context.Context, l *casemate.Launch) (any, error) {
			if l.Event.Stream == nil {
				return nil, casemate.Errorf(casemate.Invalid, "ask for a stream", "an export is a stream")
			}
			return nil, log.Export(ctx, l.Event.Stream)
		}},
		"audit.follow": stream("casemate:ListRecords", "record", func(ctx context.Context, _ *casemate.Launch, f audit.Filter, say func(any) error) error {
			err := log.Follow(ctx, f.After+1, func(e audit.Entry) error {
				if e.Record.Action == audit.ActionSeal {
					return nil
				}
				return say(e)
			})
			return endOfStream(ctx, err)
		}),
	}
}

// Tampered gives what a verification found its code: it is the operator's to see, in full.
func Tampered(err error) error {
	var t *audit.Tampering
	if errors.As(err, &t) {
		return &casemate.Error{Code: casemate.Conflict, Message: t.Error(), Rule: t.Kind, Hint: "compare with an export and a checkpoint kept elsewhere; the log up to the named record holds", Err: err}
	}
	return err
}

// endOfStream makes the reader's going away no error.
func endOfStream(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
