package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// canary leaves a token in every place that it can find, or looks for one.
type canary struct {
	memory []string
	held   []net.Listener
}

func (c *canary) places() []string {
	return []string{"/tmp/canary", "/var/task/canary", "canary", "/dev/shm/canary", "/canary"}
}

func (c *canary) plant(_ *api, o order) answer {
	token := o["head"] + o["tail"]
	c.memory = append(c.memory, token)
	os.Setenv("CANARY", token)
	for _, place := range c.places() {
		_ = os.WriteFile(place, []byte(token), 0o600) // most of them cannot be written
	}
	for _, at := range [][2]string{{"tcp", "127.0.0.1:7777"}, {"unix", "@canary"}, {"unix", "/tmp/canary.sock"}} {
		l, err := net.Listen(at[0], at[1])
		if err != nil {
			continue
		}
		c.held = append(c.held, l)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(conn, token)
				conn.Close()
			}
		}()
	}
	_, err := fork(false)
	return answer{Detail: fmt.Sprint("planted ", err)}
}

func (c *canary) look(_ *api, o order) answer {
	var found []string
	if len(c.memory) > 0 {
		found = append(found, "memory")
	}
	if _, ok := os.LookupEnv("CANARY"); ok {
		found = append(found, "environment")
	}
	for _, place := range c.places() {
		if _, err := os.Stat(place); err == nil {
			found = append(found, place)
		}
	}
	for _, at := range [][2]string{{"tcp", "127.0.0.1:7777"}, {"unix", "@canary"}} {
		conn, err := net.DialTimeout(at[0], at[1], 5*time.Second)
		if err != nil {
			continue
		}
		if n, _ := conn.Read(make([]byte, 100)); n > 0 {
			found = append(found, "socket "+at[1])
		}
		conn.Close()
	}
	others, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range others {
		if filepath.Base(p) != strconv.Itoa(os.Getpid()) {
			found = append(found, "process "+filepath.Base(p))
		}
	}
	if scan([]byte(o["head"]), []byte(o["tail"])) {
		found = append(found, "bytes in memory")
	}
	return answer{Worked: len(found) > 0, Detail: strings.Join(found, ", ")}
}

// scan searches its own memory for both halves side by side, without ever putting them so.
func scan(head, tail []byte) bool {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return false
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return false
	}
	defer mem.Close()
	block := make([]byte, 1<<16)
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var access string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &access); n != 3 || !strings.HasPrefix(access, "rw") {
			continue
		}
		for from < to {
			n, _ := mem.ReadAt(block[:min(uint64(len(block)), to-from)], int64(from))
			if n == 0 {
				break
			}
			for rest := block[:n]; ; {
				at := bytes.Index(rest, head)
				if at < 0 {
					break
				}
				if rest = rest[at+len(head):]; bytes.HasPrefix(rest, tail) {
					return true
				}
			}
			from += uint64(n)
		}
	}
	return false
}
