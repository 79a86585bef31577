package sandbox

import (
	"strings"
	"testing"
)

// TestLogFloodIsCountedAsItIsKept: 16 MiB of line ends once were 16 million lines, eight seconds of the node's CPU; of zero
// bytes 96 MiB on its disk, all that is kept of everybody's output.
func TestLogFloodIsCountedAsItIsKept(t *testing.T) {
	for name, line := range map[string]string{"empty": "", "zeros": strings.Repeat("\x00", 1<<10), "text": strings.Repeat("x", 1<<10)} {
		lines, kept := 0, 0
		l := &runLog{emit: func(stream, _, _, text string) {
			if stream != "platform" {
				lines, kept = lines+1, kept+len(text)+5*strings.Count(text, "\x00")
			}
		}}
		most := 1 << 20
		l.adopt(l.emit, int64(most))
		l.begin("r", true)
		for range most / 64 {
			l.write("stdout", "", line)
		}
		if lines == 0 || lines > most/lineCost || kept > most || !l.dropped {
			t.Errorf("%s: %d lines, %d bytes, dropped %t", name, lines, kept, l.dropped)
		}
	}
}

func TestNoVersionMayFloodTheNode(t *testing.T) {
	l := &runLog{}
	if l.adopt(nil, 1<<40); l.most != maxRunLogs {
		t.Errorf("%d bytes a run", l.most)
	}
}
