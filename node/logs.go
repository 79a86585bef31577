package node

import (
	"context"

	"casemate"
	"casemate/journal"
)

func logBuiltins(j *journal.Journal, may judge) map[string]builtin {
	return map[string]builtin{
		"logs.read": named(stream("casemate:ReadLogs", "log", func(ctx context.Context, l *casemate.Launch, f journal.Filter, say func(any) error) error {
			if err := covers(l, may, "casemate:ReadLogs", "log", f.Function); err != nil {
				return err
			}
			return endOfStream(ctx, j.Read(ctx, f, func(l casemate.LogLine) error { return say(l) }))
		})),
	}
}
