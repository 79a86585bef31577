package deploy

import (
	"testing"

	"casemate"
	"casemate/deploy/manifest"
)

func TestLoggingOfAManifest(t *testing.T) {
	for name, c := range map[string]struct {
		said *manifest.Log
		want *casemate.Logging
	}{
		"nothing": {nil, nil},
		"text":    {&manifest.Log{Format: "text"}, nil},
		"JSON":    {&manifest.Log{Format: "json"}, &casemate.Logging{Format: "JSON"}},
		"levels":  {&manifest.Log{Format: "json", Level: "fatal", Platform: "warn"}, &casemate.Logging{Format: "JSON", Level: "FATAL", System: "WARN"}},
	} {
		got := loggingOf(c.said)
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
