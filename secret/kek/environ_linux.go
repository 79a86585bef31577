package kek

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// wipeVariable overwrites a variable's value in the block that the kernel handed to the process and shows in
// /proc/PID/environ: unsetting it changes the process' own list alone. The block's bounds are fields 50 and 51 of
// /proc/self/stat (proc_pid_stat(5)). Danger: it writes into the process' own memory, within those bounds only.
func wipeVariable(name string) error {
	start, end, err := environ()
	if err != nil {
		return err
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	block := make([]byte, end-start)
	defer clear(block)
	if _, err := mem.ReadAt(block, start); err != nil {
		return err
	}
	mark := []byte(name + "=")
	for at := 0; at < len(block); {
		size := bytes.IndexByte(block[at:], 0)
		if size < 0 {
			size = len(block) - at
		}
		if entry := block[at : at+size]; bytes.HasPrefix(entry, mark) {
			if _, err := mem.WriteAt(bytes.Repeat([]byte("x"), size-len(mark)), start+int64(at+len(mark))); err != nil {
				return err
			}
		}
		at += size + 1
	}
	return nil
}

// environ gives the bounds of the environment block in this process' memory.
func environ() (start, end int64, err error) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, err
	}
	// The second field is the program's name in parentheses and may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const first, startField, endField = 3, 50, 51
	if len(fields) <= endField-first {
		return 0, 0, errors.New("the kernel does not say where the environment is")
	}
	start, err1 := strconv.ParseInt(string(fields[startField-first]), 10, 64)
	end, err2 := strconv.ParseInt(string(fields[endField-first]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, err
	}
	if size := end - start; start <= 0 || size < 0 || size > 16<<20 {
		return 0, 0, fmt.Errorf("an environment of %d bytes", size)
	}
	return start, end, nil
}
