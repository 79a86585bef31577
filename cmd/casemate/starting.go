package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"casemate"
	"casemate/front/admin"
	"casemate/node"
)

// How long a verb waits for a node: one that has not taken its folder yet, and one that has and is getting ready.
const (
	patience = 400 * time.Millisecond
	startUp  = 15 * time.Second
	lookAt   = 20 * time.Millisecond
)

// dialLocal makes a client of the node in dir. "casemate up &" and "casemate deploy" are pasted as one block: a node that is only
// starting is waited for.
func dialLocal(dir string) (*admin.Client, error) {
	for begun := time.Now(); ; {
		c, err := admin.Dial(filepath.Join(dir, node.Socket))
		if casemate.CodeOf(err) != casemate.Unavailable {
			return c, err
		}
		waited := time.Since(begun)
		if waited > startUp || waited > patience && !taken(dir) {
			return nil, err
		}
		time.Sleep(lookAt)
	}
}

// taken says whether a node holds the folder's lock. The kernel's list is read for it, because trying the lock, for however short
// a moment, would turn away the node that is about to take it.
func taken(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "store", "lock"))
	if err != nil {
		return false
	}
	held, err := os.ReadFile("/proc/locks")
	stat, ok := info.Sys().(*syscall.Stat_t)
	return err == nil && ok && strings.Contains(string(held), fmt.Sprintf(":%d 0 EOF\n", stat.Ino))
}
