package jail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stopTime is how long a jail without a freezer may take to stand still: long, because what starts processes without end
// takes the processor from whoever stops it.
const stopTime = 10 * time.Second

// stop stands in for a freezer where there is none: SIGSTOP for every process, until all of them stand and none is new.
// Programs can notice it afterwards: a parent that waits for stopped children (WUNTRACED) sees them.
func (c *Child) stop() error {
	end := time.Now().Add(stopTime)
	var stood []int // the last list, if all on it stood
	for {
		moves := false
		family, err := c.family(func(pid int) error {
			if standing(pid) {
				return nil
			}
			moves = true
			return c.signal(pid, unix.SIGSTOP)
		})
		if err != nil {
			return err
		}
		// An orphan may have come to a parent whose children were read. Who stands starts nobody: the same list again, after
		// all on it stood, is complete.
		if !moves && slices.Equal(family, stood) {
			return nil
		}
		if stood = family; moves {
			stood = nil
		}
		if time.Now().After(end) {
			return errors.New("jail: the processes do not stop")
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// goOn is the reverse of stop.
func (c *Child) goOn() error {
	family, err := c.family(func(int) error { return nil })
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

// family lists the processes of the jail, parents first, and visits each before it reads its children. Every one descends
// from the first: orphans become its children.
func (c *Child) family(visit func(pid int) error) ([]int, error) {
	list := []int{c.process.Pid}
	for k := 0; k < len(list); k++ {
		if err := visit(list[k]); err != nil {
			return nil, err
		}
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

// standing says whether every thread of a process has stopped, or is no more.
func standing(pid int) bool {
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat")) // only a bad pattern fails
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if !strings.HasPrefix(rest, "T") && !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X") {
			return false
		}
	}
	return true
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
