package jail

import (
	"net/netip"
	"testing"
)

func TestSockaddrs(t *testing.T) {
	for raw, want := range map[string]string{
		"\x02\x00\x00\x50\x5d\xb8\xd8\x22\x00\x00\x00\x00\x00\x00\x00\x00":                         "93.184.216.34:80",
		"\x02\x00\x00\x50\x5d\xb8\xd8\x22":                                                         "93.184.216.34:80",
		"\x0a\x00\x01\xbb\x00\x00\x00\x00\xfd" + string(make([]byte, 14)) + "\x01":                 "[fd00::1]:443",
		"\x0a\x00\x01\xbb\x00\x00\x00\x00" + string(make([]byte, 10)) + "\xff\xff\x7f\x00\x00\x01": "127.0.0.1:443",
	} {
		got, local := parseSockaddr([]byte(raw))
		if local || got.String() != want {
			t.Errorf("%x: %s, local %t", raw, got, local)
		}
	}
	for _, raw := range []string{"", "\x02", "\x02\x00\x00\x50", "\x0a\x00\x01\xbb\x00", "\x01\x00/run/x", "\x00\x00", "\x10\x00"} {
		if got, local := parseSockaddr([]byte(raw)); !local || got.IsValid() {
			t.Errorf("%x: %s, local %t", raw, got, local)
		}
	}
}

func TestListenSpecs(t *testing.T) {
	for _, bad := range []string{"", "tcp", "tcp ", "udp 1.2.3.4", "unix /x", "tcp host:80", "tcp 1.2.3.4:99999", "TCP 1.2.3.4:1"} {
		if _, addr, err := parseListen(bad); err == nil {
			t.Errorf("%q read as %s", bad, addr)
		}
	}
	if datagram, addr, err := parseListen("udp [fd00::1]:53"); !datagram || addr != netip.MustParseAddrPort("[fd00::1]:53") || err != nil {
		t.Error(datagram, addr, err)
	}
}

func FuzzSockaddr(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x50\x5d\xb8\xd8\x22"))
	f.Add([]byte("\x0a\x00\x01\xbb"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if address, local := parseSockaddr(raw); local == address.IsValid() {
			t.Fatalf("%x: %s, local %t", raw, address, local)
		}
	})
}
