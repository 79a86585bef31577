package casemate

import "testing"

func TestSourceOf(t *testing.T) {
	for ip, want := range map[string]string{"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "::1": "::/64", "": "", "@": "@", "invalid IP": "invalid IP"} {
		if got := SourceOf(ip); got != want {
			t.Errorf("%q: %q, want %q", ip, got, want)
		}
	}
}
