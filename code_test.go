package casemate

import (
	"errors"
	"fmt"
	"testing"
)

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Code
	}{
		{nil, Fault}, // asked before the error is looked at, it once ended the node
		{errors.New("nobody classified this"), Fault},
		{fmt.Errorf("around: %w", Errorf(NotFound, "", "gone")), NotFound},
	} {
		if got := CodeOf(c.err); got != c.want {
			t.Errorf("%v is %s, not %s", c.err, c.want, got)
		}
	}
}
