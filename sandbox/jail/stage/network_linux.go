package stage

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// network brings loopback up, makes every address local to it and opens the sockets that the node will serve. The
// namespace has no other interface, so nothing can leave it.
func (s *stager) network() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bringing loopback up: %w", err)
	}
	if err := localRoute(unix.AF_INET); err != nil {
		return fmt.Errorf("making every address local: %w", err)
	}
	if err := localRoute(unix.AF_INET6); err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("making every IPv6 address local: %w", err)
	}
	for _, l := range s.Listen {
		socket, err := listen(l)
		if err != nil {
			return fmt.Errorf("listening on port %d: %w", l.Port, err)
		}
		s.sockets = append(s.sockets, socket)
	}
	return nil
}

// localRoute is `ip route add local default dev lo` (rtnetlink(7)): loopback is always interface 1 of a namespace.
func localRoute(family byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	msg := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg+unix.SizeofRtAttr+4)
	ne := binary.NativeEndian
	ne.PutUint32(msg[0:], uint32(len(msg)))
	ne.PutUint16(msg[4:], unix.RTM_NEWROUTE)
	ne.PutUint16(msg[6:], unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	ne.PutUint32(msg[8:], 1)
	rt := msg[unix.SizeofNlMsghdr:]
	rt[0] = family
	rt[4] = unix.RT_TABLE_LOCAL
	rt[5] = unix.RTPROT_BOOT
	if rt[6] = unix.RT_SCOPE_HOST; family == unix.AF_INET6 {
		rt[6] = unix.RT_SCOPE_UNIVERSE
	}
	rt[7] = unix.RTN_LOCAL
	attr := rt[unix.SizeofRtMsg:]
	ne.PutUint16(attr[0:], unix.SizeofRtAttr+4)
	ne.PutUint16(attr[2:], unix.RTA_OIF)
	ne.PutUint32(attr[4:], 1)
	if err := unix.Sendto(fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 || ne.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return errors.New("netlink: unexpected answer")
	}
	if code := int32(ne.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

func listen(l Socket) (int, error) {
	kind := unix.SOCK_STREAM
	if l.Datagram {
		kind = unix.SOCK_DGRAM
	}
	family, level, free := unix.AF_INET, unix.IPPROTO_IP, unix.IP_FREEBIND
	var sa unix.Sockaddr
	switch len(l.IP) {
	case 4:
		sa = &unix.SockaddrInet4{Port: int(l.Port), Addr: [4]byte(l.IP)}
	case 16:
		family, level, free = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND
		sa = &unix.SockaddrInet6{Port: int(l.Port), Addr: [16]byte(l.IP)}
	default:
		return -1, fmt.Errorf("an address of %d bytes", len(l.IP))
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, level, free, 1); err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return -1, err
	}
	if l.Datagram {
		return fd, nil
	}
	return fd, unix.Listen(fd, unix.SOMAXCONN)
}
