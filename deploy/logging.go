package deploy

import (
	"strings"

	"casemate"
	"casemate/deploy/manifest"
)

// loggingOf is how the log of a function is written; nil is Lambda's default, lines of text.
func loggingOf(l *manifest.Log) *casemate.Logging {
	if l == nil || l.Format != "json" {
		return nil
	}
	return &casemate.Logging{Format: "JSON", Level: strings.ToUpper(l.Level), System: strings.ToUpper(l.Platform)}
}
