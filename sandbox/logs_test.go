package sandbox

import (
	"strings"
	"testing"
)

// TestLogFloodIsCountedAsItIsKept: 16 MiB of line ends were 16 million lines, eight seconds of the node's CPU; of zero
// bytes 96 MiB on its disk, all that is kept of everybody's output.
func TestLogFloodIsCountedAsItIsKept(t *testing.T) {
	for name, line := range map[string]string{"empty": "", "zeros": strings.Repeat("\x00", 1<<10), "text": strings.Repeat("x", 1<<10)} {
		lines, kept := 0, 0
		l := &runLog{emit: func(stream, _, text string) {
			if stream != "platform" {
				lines, kept = lines+1, kept+len(text)+5*strings.Count(text, "\x00")
			}
		}}
		l.begin("r", true)
		for range maxRunLogs / 64 {
			l.write("stdout", line)
		}
		if lines == 0 || lines > maxRunLogs/lineCost || kept > maxRunLogs || !l.dropped {
			t.Errorf("%s: %d lines, %d bytes, dropped %t", name, lines, kept, l.dropped)
		}
	}
}
