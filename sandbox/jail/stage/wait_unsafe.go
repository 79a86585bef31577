package stage

import (
	"strconv"
	"syscall"
	"unsafe"
)

// wait stops a stage that was told only a part of its order until the rest has come, and then does what the rest asks
// for. No code but this has run in the jail so far; its root is not sealed and the host's still within reach, which is
// why it can be done from inside, with a user namespace of its own and without.
func (s *stager) wait() error {
	if !s.Wait {
		return nil
	}
	if err := syscall.Sendmsg(s.control, []byte{TagWaiting}, nil, nil, 0); err != nil {
		return doing("saying that the jail waits", err)
	}
	buf := make([]byte, MaxOrder)
	n, err := syscall.Read(s.control, buf)
	for err == syscall.EINTR {
		n, err = syscall.Read(s.control, buf)
	}
	if err != nil || n == 0 {
		syscall.Exit(125) // the node does not want this jail any more
	}
	rest := new(Order)
	if err := rest.Decode(buf[:n]); err != nil {
		return err
	}
	if err := s.complete(rest); err != nil {
		return err
	}
	syscall.Close(s.host)
	return leave()
}

// complete does the part of an order that came late: more mounts, files and sockets, and the limits and the program.
func (s *stager) complete(rest *Order) error {
	for _, m := range rest.Mounts {
		tree, err := s.hostSource(m)
		if err != nil {
			return doing("mounting "+m.Target, err)
		}
		if err := attach(tree, m.Target); err != nil {
			return doing("mounting "+m.Target, err)
		}
	}
	s.Mounts = append(s.Mounts, rest.Mounts...)
	if err := write(rest.Etc); err != nil {
		return err
	}
	if err := resizeTmp(rest.Limits.TmpBytes); err != nil {
		return err
	}
	if err := s.listen(rest.Listen); err != nil {
		return err
	}
	s.Argv, s.Env, s.Dir, s.Limits = rest.Argv, rest.Env, rest.Dir, rest.Limits
	s.Filter, s.Notify, s.Programs = rest.Filter, rest.Notify, rest.Programs
	return nil
}

// hostSource is openSource while the jail's root is the new one already.
func (s *stager) hostSource(m Mount) (int, error) {
	how := struct{ flags, mode, resolve uint64 }{oPath | syscall.O_CLOEXEC, 0, resolveInRoot} // struct open_how
	source, err := withPath(sysOpenat2, s.host, m.Source, uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how))
	if err != nil {
		return -1, doing("source", err)
	}
	defer syscall.Close(source)
	fd, err := withPath(sysOpenTree, source, "", openTreeClone|syscall.O_CLOEXEC|atEmptyPath)
	if err != nil {
		return -1, doing("source", err)
	}
	return fd, restrict(fd, m)
}

// resizeTmp changes the bound of /tmp, and nothing else of it.
func resizeTmp(bytes int64) error {
	if err := syscall.Mount("", "/tmp", "", syscall.MS_REMOUNT|syscall.MS_NOSUID|syscall.MS_NODEV, "size="+strconv.FormatInt(bytes, 10)); err != nil {
		return doing("sizing /tmp", err)
	}
	return nil
}
