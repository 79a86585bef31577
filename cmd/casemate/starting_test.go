package main

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"casemate"
	"casemate/node"
)

// Who has taken a folder's lock and has no socket yet is starting, and is waited for; a folder that nobody holds is not.
func TestANodeThatStartsIsWaitedFor(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "cm") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(dir, "store", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if taken(dir) {
		t.Error("a lock that nobody holds counts as taken")
	}
	if _, err := dialLocal(dir); casemate.CodeOf(err) != casemate.Unavailable {
		t.Errorf("without a node: %v", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if !taken(dir) {
		t.Error("a lock that is held does not count as taken")
	}
	done := make(chan error, 1)
	go func() {
		c, err := dialLocal(dir)
		if err == nil {
			c.Close()
		}
		done <- err
	}()
	l, err := net.Listen("unix", filepath.Join(dir, node.Socket))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := <-done; err != nil {
		t.Errorf("a node that starts: %v", err)
	}
}
