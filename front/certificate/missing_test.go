package certificate

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestMissingFiles: who mistyped a path reads which one, since the error is what casemate up shows.
func TestMissingFiles(t *testing.T) {
	_, err := OpenFiles("nope.pem", "nope.key", time.Now, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "nope.pem") {
		t.Errorf("%v", err)
	}
}
