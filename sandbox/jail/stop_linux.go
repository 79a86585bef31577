package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stopTime is how long a jail without a freezer may take to stand still.
const stopTime = time.Second

// stop stands in for a freezer where there is none: SIGSTOP for every process, until all of them stand and none is new.
// Programs can notice it afterwards: a parent that waits for stopped children (WUNTRACED) sees them.
func (c *Child) stop() error {
	end := time.Now().Add(stopTime)
	for {
		family, err := c.family()
		if err != nil {
			return err
		}
		moves := false
		for _, pid := range family {
			if !standing(pid) {
				moves = true
				if err := c.signal(pid, unix.SIGSTOP); err != nil {
					return err
				}
			}
		}
		if !moves { // who stands starts nobody: the family was complete
			return nil
		}
		if time.Now().After(end) {
			return errors.New("jail: the processes do not stop")
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// goOn is the reverse of stop.
func (c *Child) goOn() error {
	family, err := c.family()
	if err != nil {
		return err
	}
	for k := range family { // the first process last: what it waits for is there
		if err := c.signal(family[len(family)-1-k], unix.SIGCONT); err != nil {
			return err
		}
	}
	return nil
}

// family lists the processes of the jail, parents first. Every one descends from the first: orphans become its children.
func (c *Child) family() ([]int, error) {
	list := []int{c.process.Pid}
	for k := 0; k < len(list); k++ {
		tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(list[k]), "task", "*", "children")) // only a bad pattern fails
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
				continue // the thread has ended
			}
			if err != nil {
				return nil, fmt.Errorf("jail: listing processes: %w", err)
			}
			for _, field := range strings.Fields(string(text)) {
				pid, err := strconv.Atoi(field)
				if err != nil {
					return nil, fmt.Errorf("jail: listing processes: %q", field)
				}
				list = append(list, pid)
			}
		}
	}
	return list, nil
}

// standing says whether a process has stopped, or is no more.
func standing(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	return strings.HasPrefix(rest, "T") || strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

// signal reaches a process of the jail and never one that has taken over its number.
func (c *Child) signal(pid int, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("jail: signalling: %w", err)
	}
	defer unix.Close(fd)
	own, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(c.process.Pid), "ns", "pid"))
	if err != nil {
		return fmt.Errorf("jail: signalling: %w", err)
	}
	if its, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns", "pid")); err != nil || its != own {
		return nil // it has ended
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("jail: signalling: %w", err)
	}
	return nil
}
