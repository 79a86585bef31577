package egress

import (
	"encoding/binary"
	"net/netip"
	"sync"
)

// Every granted name that was asked for has an address of its own from here: benchmarks' own range, that nothing outside
// uses (RFC 2544).
var (
	fakes     = netip.MustParsePrefix("198.18.0.0/15")
	firstFake = binary.BigEndian.Uint32([]byte{198, 18, 0, 1})
)

// maxNames of one door: below a wildcard there are as many as a function cares to ask for.
const maxNames = 4096

// names hands addresses out. A name keeps its own as long as the door is there.
type names struct {
	mu    sync.Mutex
	given map[string]netip.Addr
	order []string // name by number of its address
}

// address gives a name its address; false when there are too many names.
func (n *names) address(name string) (netip.Addr, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a, ok := n.given[name]; ok {
		return a, true
	}
	if len(n.order) >= maxNames {
		return netip.Addr{}, false
	}
	a := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, firstFake+uint32(len(n.order)))))
	if n.given == nil {
		n.given = map[string]netip.Addr{}
	}
	n.given[name] = a
	n.order = append(n.order, name)
	return a, true
}

// name is whose address this is.
func (n *names) name(a netip.Addr) (string, bool) {
	if !a.Is4() || !fakes.Contains(a) {
		return "", false
	}
	b := a.As4()
	i := int(binary.BigEndian.Uint32(b[:])) - int(firstFake)
	n.mu.Lock()
	defer n.mu.Unlock()
	if i < 0 || i >= len(n.order) {
		return "", false
	}
	return n.order[i], true
}
