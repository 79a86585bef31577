package stage

import (
	"errors"
	"strconv"
	"syscall"
)

// network brings loopback up, makes every address local to it and opens the sockets that the node will serve. The
// namespace has no other interface, so nothing can leave it.
func (s *stager) network() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := interfaceFlags(fd, "lo", syscall.IFF_UP|syscall.IFF_RUNNING); err != nil {
		return doing("bringing loopback up", err)
	}
	if err := localRoute(syscall.AF_INET); err != nil {
		return doing("making every address local", err)
	}
	if err := localRoute(syscall.AF_INET6); err != nil && !errors.Is(err, syscall.EOPNOTSUPP) && !errors.Is(err, syscall.EAFNOSUPPORT) {
		return doing("making every IPv6 address local", err)
	}
	return s.listen(s.Listen)
}

// listen opens sockets for the node.
func (s *stager) listen(sockets []Socket) error {
	for _, l := range sockets {
		socket, err := Listen(l)
		if err != nil {
			return doing("listening on port "+strconv.Itoa(int(l.Port)), err)
		}
		s.sockets = append(s.sockets, socket)
	}
	return nil
}

// localRoute is `ip route add local default dev lo` (rtnetlink(7)): loopback is always interface 1 of a namespace.
func localRoute(family byte) error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	scope := uint8(syscall.RT_SCOPE_HOST)
	if family == syscall.AF_INET6 {
		scope = syscall.RT_SCOPE_UNIVERSE
	}
	request := routeRequest{
		NlMsghdr: syscall.NlMsghdr{Type: syscall.RTM_NEWROUTE, Seq: 1,
			Flags: syscall.NLM_F_REQUEST | syscall.NLM_F_CREATE | syscall.NLM_F_EXCL | syscall.NLM_F_ACK},
		RtMsg: syscall.RtMsg{Family: family, Table: syscall.RT_TABLE_LOCAL, Protocol: syscall.RTPROT_BOOT, Scope: scope,
			Type: syscall.RTN_LOCAL},
		RtAttr: syscall.RtAttr{Len: syscall.SizeofRtAttr + 4, Type: syscall.RTA_OIF},
		device: 1,
	}
	request.NlMsghdr.Len = uint32(len(request.bytes()))
	if err := syscall.Sendto(fd, request.bytes(), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	switch errno, ok := netlinkError(answer[:n]); {
	case !ok:
		return errors.New("netlink: unexpected answer")
	case errno != 0:
		return syscall.Errno(-errno)
	}
	return nil
}

// The options that package syscall does not name [linux/in.h, linux/in6.h].
const (
	ipFreebind   = 15
	ipv6Freebind = 78
)

// Listen opens one socket in the network namespace of the calling thread. The caller closes the descriptor.
func Listen(l Socket) (int, error) {
	kind := syscall.SOCK_STREAM
	if l.Datagram {
		kind = syscall.SOCK_DGRAM
	}
	family, level, free := syscall.AF_INET, syscall.IPPROTO_IP, ipFreebind
	var sa syscall.Sockaddr
	switch len(l.IP) {
	case 4:
		sa = &syscall.SockaddrInet4{Port: int(l.Port), Addr: [4]byte(l.IP)}
	case 16:
		family, level, free = syscall.AF_INET6, syscall.IPPROTO_IPV6, ipv6Freebind
		sa = &syscall.SockaddrInet6{Port: int(l.Port), Addr: [16]byte(l.IP)}
	default:
		return -1, errors.New("an address of " + strconv.Itoa(len(l.IP)) + " bytes")
	}
	fd, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := syscall.SetsockoptInt(fd, level, free, 1); err != nil {
		return -1, err
	}
	if err := syscall.Bind(fd, sa); err != nil {
		return -1, err
	}
	if l.Datagram {
		return fd, nil
	}
	return fd, syscall.Listen(fd, syscall.SOMAXCONN)
}
