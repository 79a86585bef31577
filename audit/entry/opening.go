package entry

import (
	"slices"

	"casemate"
)

// payerText is how much is kept, at least, of what says whose money was held.
const payerText = 96

// AppendOpening adds what is known of r at its start to b, texts cut until all of it has at most most bytes. The id and the
// digest of the price book are never cut.
func AppendOpening(b []byte, r *casemate.Record, most int) []byte {
	payers := []string{"chain", "principal", "app", "function", "role", "key"}
	for limit := most; ; limit /= 2 {
		e := encoder{b: append(b, '{')}
		e.text("id", r.ID)
		for _, f := range [...]struct{ key, value string }{
			{"event", r.Event}, {"parent", r.Parent}, {"chain", r.Chain}, {"source", string(r.Source)},
			{"action", r.Action}, {"resource", r.Resource}, {"route", r.Route}, {"principal", r.Principal},
			{"source_ip", r.SourceIP}, {"trace", r.Trace}, {"app", r.App}, {"function", r.Function},
			{"version", r.Version}, {"role", r.Role}, {"key", r.Key},
		} {
			v := Redact(f.value) // before the cut, which could leave a part of one
			keep := limit
			if r.Held > 0 && slices.Contains(payers, f.key) {
				keep = max(limit, payerText)
			}
			e.some(f.key, v[:min(len(v), keep)])
		}
		e.some("book", r.Book)
		if limit == most {
			e.list("tags", r.Tags)
		}
		e.nonzero("held", int64(r.Held))
		if r.Attempt != 0 {
			e.number("attempt", int64(r.Attempt))
		}
		e.moment("opened", r.Opened)
		e.b = append(e.b, '}')
		if len(e.b) <= most || limit == 0 {
			return e.b
		}
	}
}
