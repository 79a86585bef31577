package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc's times: USER_HZ, 100 a second on every Linux (proc(5)).
const tick = 10 * time.Millisecond

// Spent is processor time, user and system.
type Spent struct {
	All time.Duration // a process, its living descendants and the children they waited for
	Own time.Duration // the process alone
}

// CPU is what a process and its descendants have spent so far.
func CPU(pid int) (Spent, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return Spent{}, fmt.Errorf("listing processes: %w", err)
	}
	parents, ticks, own := map[int]int{}, map[int]int64{}, int64(0)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it ended since
		}
		id, parent, self, waited, err := stat(string(text))
		if err != nil {
			return Spent{}, err
		}
		parents[id], ticks[id] = parent, self+waited
		if id == pid {
			own = self
		}
	}
	if _, ok := ticks[pid]; !ok {
		return Spent{}, fmt.Errorf("process %d is gone", pid)
	}
	var sum int64
	for id := range ticks {
		for up := id; up > 1; up = parents[up] {
			if up == pid {
				sum += ticks[id]
				break
			}
		}
	}
	return Spent{All: time.Duration(sum) * tick, Own: time.Duration(own) * tick}, nil
}

// stat reads pid, parent, utime+stime and cutime+cstime of one /proc/<pid>/stat.
func stat(text string) (pid, parent int, self, waited int64, err error) {
	end := strings.LastIndexByte(text, ')')
	if end < 0 {
		return 0, 0, 0, 0, fmt.Errorf("not a process: %q", text)
	}
	name, _, _ := strings.Cut(text, " ")
	if pid, err = strconv.Atoi(name); err != nil {
		return 0, 0, 0, 0, err
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 15 {
		return 0, 0, 0, 0, fmt.Errorf("not a process: %q", text)
	}
	if parent, err = strconv.Atoi(fields[1]); err != nil {
		return 0, 0, 0, 0, err
	}
	for i, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, 0, 0, 0, err
		}
		if i < 2 {
			self += n
		} else {
			waited += n
		}
	}
	return pid, parent, self, waited, nil
}
