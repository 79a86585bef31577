package leak

import (
	"strings"
	"testing"
)

// TestOperatorsSessionsDoNotLeave: a session's token is as good as its operator.
func TestOperatorsSessionsDoNotLeave(t *testing.T) {
	token := "cs_abcdefghijkl_" + strings.Repeat("q7zk", 13)
	if _, found := Body([]byte(`{"log":"Authorization: Bearer `+token+`"}`), 200, "application/json", Rules{}); found.Blocked == "" {
		t.Errorf("it leaves: %+v", found)
	}
}
