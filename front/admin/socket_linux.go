package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"casemate"
)

const peerPrefix = "uid/"

// listenSocket opens path for nobody but the user who runs the node, and names every peer by its uid.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the admin socket: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the admin socket: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != uint32(os.Geteuid()) || info.Mode().Perm()&0o077 != 0 {
		return nil, &casemate.Error{Code: casemate.Unavailable, Field: "admin", Message: "the folder of the admin socket is open to others",
			Hint: "make it yours alone: chmod 700 on the node's folder"}
	}
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, &casemate.Error{Code: casemate.Unavailable, Field: "admin", Message: "cannot open the admin socket",
			Hint: "is its path longer than 107 bytes?", Err: err}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("opening the admin socket: %w", err)
	}
	return &peerListener{ln}, nil
}

// clearSocket removes a socket that nobody answers on. Anything else at that path stays.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the admin socket: %w", err)
	}
	taken := &casemate.Error{Code: casemate.Unavailable, Field: "admin", Message: "another node answers on the admin socket, or it is no socket",
		Hint: "stop that node, or give this one a folder of its own"}
	if info.Mode().Type() != fs.ModeSocket {
		return taken
	}
	conn, err := (&net.Dialer{}).Dial("unix", path)
	if err == nil {
		conn.Close()
		return taken
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return taken
	}
	return os.Remove(path)
}

// peerListener names each connection by the uid of who opened it, as the kernel recorded it at connect
// (SO_PEERCRED, unix(7)).
type peerListener struct{ net.Listener }

// Accept gives the next connection whose peer the kernel could name.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := kernelUID(conn)
		if err == nil {
			return &peerConn{conn, peerAddr(uid)}, nil
		}
		conn.Close()
	}
}

func kernelUID(conn net.Conn) (uint32, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return 0, errors.New("not a socket")
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var inner error
	err = rc.Control(func(fd uintptr) {
		cred, inner = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, inner); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// peerConn carries the uid as its remote address, which net/http hands to the handler.
type peerConn struct {
	net.Conn
	peer peerAddr
}

// RemoteAddr is "uid/<number>".
func (c *peerConn) RemoteAddr() net.Addr { return c.peer }

type peerAddr uint32

// Network implements net.Addr.
func (peerAddr) Network() string { return "unix" }

// String implements net.Addr.
func (a peerAddr) String() string { return peerPrefix + strconv.FormatUint(uint64(a), 10) }

// peerUID reads the uid back from a request's remote address.
func peerUID(remote string) (uint32, error) {
	digits, ok := strings.CutPrefix(remote, peerPrefix)
	uid, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil {
		return 0, &casemate.Error{Code: casemate.Unauthenticated, Message: "the kernel does not say who you are", Hint: "send a key"}
	}
	return uint32(uid), nil
}
