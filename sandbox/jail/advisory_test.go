package jail

import (
	"strings"
	"testing"
)

// Fission GHSA-qf5v-m7p4-95rp: a list of capabilities to take away forgot CAP_SYS_TIME. Here none is left in any set, whatever the
// kernel calls it.
func TestGHSA_qf5v_m7p4_95rp_NoCapabilityIsLeft(t *testing.T) {
	got := ask[map[string]string](t, probeSpec(t, "status"))
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if v := got[set]; v == "" || strings.Trim(v, "0") != "" {
			t.Errorf("%s is %q", set, v)
		}
	}
	if got["NoNewPrivs"] != "1" || got["Seccomp"] != "2" {
		t.Errorf("no_new_privs %q, seccomp %q", got["NoNewPrivs"], got["Seccomp"])
	}
}
