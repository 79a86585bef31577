package stage

import (
	"errors"
	"os"
	"path"
	"syscall"
)

// open takes the place of build in a build without walls (package walls): the network that the Runtime API is heard on,
// and the program's own folders shown over the host's root in a mount namespace that ends with it. No wall goes up.
func (s *stager) open() error {
	for _, wall := range []string{WallNamespaces, WallCgroupNS, WallRoot, WallProc, WallNet, WallCaps, WallNoNewPrivs, WallUID, WallLandlock, WallSeccomp, WallNotify} {
		s.out.Missing = append(s.out.Missing, Missing{wall, "this build has no walls"})
	}
	if !s.AllowWeak {
		return errors.New("this build has no walls")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return doing("making mounts private", err)
	}
	if err := s.network(); err != nil {
		return doing("making the network", err)
	}
	for _, m := range s.Mounts {
		if m.Source == m.Target {
			continue // it is the host's own
		}
		if err := overlay(m.Source, m.Target); err != nil {
			return doing("mounting "+m.Target, err)
		}
	}
	// Of the small files only those are shown that the host has as well: nothing is written to its root.
	shown := "/run/casemate-etc"
	if err := os.MkdirAll(shown, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("casemate", shown, "tmpfs", 0, "size=4m"); err != nil {
		return doing("making small files", err)
	}
	for _, file := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		copied := shown + "/" + file[len("/etc/"):]
		if err := writeFile(copied, syscall.O_WRONLY|syscall.O_CREAT, s.Etc[file]); err != nil {
			return err
		}
		if err := syscall.Mount(copied, file, "", syscall.MS_BIND, ""); err != nil && !errors.Is(err, syscall.ENOENT) {
			return doing("showing "+file, err)
		}
	}
	return s.enter()
}

// overlay shows a file or directory at a place of the host, which is made when it is not there.
func overlay(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(path.Dir(target), 0o755); err == nil {
		err = writeFile(target, syscall.O_CREAT|syscall.O_RDONLY, nil)
	}
	if err != nil {
		return err
	}
	return syscall.Mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, "")
}
