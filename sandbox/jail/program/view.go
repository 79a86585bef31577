// Package program finds out which files a jail must be allowed to execute: the program, what interprets it, and the few
// others that it may start; and whether those are still the files that somebody looked at.
package program

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
)

// Mount shows Source of the host at Target inside.
type Mount struct{ Source, Target string }

// View is a jail's file system as the host can tell it before the jail exists: its mounts, and the links over them.
type View struct {
	Mounts []Mount
	Links  map[string]string // path inside -> target
}

// maxLinks on the way to one file, as in the kernel (path_resolution(7)).
const maxLinks = 40

// ErrNotThere is a path that leads to no file of the host.
var ErrNotThere = errors.New("no such file in the sandbox")

// Resolve follows an absolute path inside through every link. real is where the file is inside, host where the host has
// it. With ErrNotThere real is how far the path led: what lies outside of Mounts (/tmp, /proc) is not known here.
func (v View) Resolve(inside string) (real, host string, err error) {
	left := split(inside)
	at := "/"
	for links := 0; len(left) > 0; {
		name := left[0]
		left = left[1:]
		if name == ".." {
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, name)
		to, isLink, err := v.link(next)
		if err != nil {
			return next, "", err
		}
		if !isLink {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", "", fmt.Errorf("%s: %w", inside, errors.New("too many links"))
		}
		if path.IsAbs(to) {
			at = "/"
		}
		left = append(split(to), left...)
	}
	host, under := v.source(at)
	if !under {
		return at, "", fmt.Errorf("%s: %w", inside, ErrNotThere)
	}
	return at, host, nil
}

func split(p string) []string {
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
}

// link reads a path inside as a link.
func (v View) link(inside string) (to string, isLink bool, err error) {
	if to, ok := v.Links[inside]; ok {
		return to, true, nil
	}
	host, under := v.source(inside)
	if !under {
		return "", false, nil // a directory that only leads to mounts
	}
	info, err := os.Lstat(host)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", false, fmt.Errorf("%s: %w", inside, ErrNotThere)
	case err != nil:
		return "", false, fmt.Errorf("looking for %s: %w", inside, err)
	case info.Mode()&os.ModeSymlink == 0 || v.isTarget(inside):
		return "", false, nil
	}
	if to, err = os.Readlink(host); err != nil {
		return "", false, fmt.Errorf("reading a link: %w", err)
	}
	return to, true, nil
}

// isTarget says whether a mount begins there: a link as its source was followed when it was mounted.
func (v View) isTarget(inside string) bool {
	for _, m := range v.Mounts {
		if m.Target == inside {
			return true
		}
	}
	return false
}

// source is where the host has a path whose parents are no links: under the longest mount target in front of it.
func (v View) source(inside string) (host string, under bool) {
	best := -1
	for _, m := range v.Mounts {
		if len(m.Target) <= best || inside != m.Target && !strings.HasPrefix(inside, strings.TrimSuffix(m.Target, "/")+"/") {
			continue
		}
		best = len(m.Target)
		host = path.Join(m.Source, inside[len(m.Target):])
	}
	return host, best >= 0
}
