package battery

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// world is everything outside of the sandboxes that an attack may be after. The addresses of the whole Internet are its
// own, in the cell's network.
type world struct {
	dir     string // on the host, for all to enter
	secret  string // a file that root alone may read; it holds the token
	drop    string // a folder in which everybody may write
	token   string // what no function may ever learn
	servers []interface{ Close() error }
	sink    net.PacketConn

	mu      sync.Mutex
	asked   int      // for the name that is rebound
	arrived []string // "tcp 169.254.169.254:80", ...
}

// abstract is the name of a socket of the host that has no place in its file system.
const abstract = "\x00casemate-battery"

func newWorld(base string) (*world, error) {
	w := &world{dir: filepath.Join(base, "world"), token: "canary-" + rand.Text()}
	w.secret, w.drop = filepath.Join(w.dir, "secret"), filepath.Join(w.dir, "drop")
	err := errors.Join(os.Mkdir(w.dir, 0o755), os.WriteFile(w.secret, []byte(w.token), 0o600), os.Mkdir(w.drop, 0o755), os.Chmod(w.drop, 0o777))
	if err != nil {
		return nil, err
	}
	if err := w.listen(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// listen opens what an attack may reach: a web server on every address, which is the metadata service as well, a
// datagram sink and a socket in the abstract name space.
func (w *world) listen() error {
	web, err := net.Listen("tcp", "0.0.0.0:80")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(w.answer)}
	w.servers = append(w.servers, server)
	go func() { _ = server.Serve(web) }() // ends with Close
	if w.sink, err = net.ListenPacket("udp", "0.0.0.0:9999"); err != nil {
		return err
	}
	w.servers = append(w.servers, w.sink)
	if err := w.listenNames(); err != nil {
		return err
	}
	local, err := net.Listen("unix", "@"+abstract[1:])
	if err != nil {
		return err
	}
	w.servers = append(w.servers, local)
	go func() {
		for {
			c, err := local.Accept()
			if err != nil {
				return
			}
			w.note("abstract socket")
			_, _ = c.Write([]byte(w.token))
			c.Close()
		}
	}()
	return nil
}

func (w *world) answer(rw http.ResponseWriter, r *http.Request) {
	at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	w.note(fmt.Sprintf("tcp %s host %s", at, r.Host))
	if r.URL.Path == "/redirect" {
		http.Redirect(rw, r, "http://169.254.169.254/latest/", http.StatusFound)
		return
	}
	_, _ = rw.Write([]byte(w.token))
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived = append(w.arrived, what)
}

// saw says whether something arrived since the last call whose description starts like this, and forgets what did.
func (w *world) saw(start string) bool {
	w.drain()
	w.mu.Lock()
	defer w.mu.Unlock()
	found := false
	for _, a := range w.arrived {
		found = found || strings.HasPrefix(a, start)
	}
	w.arrived = nil
	return found
}

// drain notes the datagrams that have come: on loopback they are there when their sender goes on.
func (w *world) drain() {
	raw, err := w.sink.(*net.UDPConn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // the socket is open
		for buf := make([]byte, 1500); ; {
			if _, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT); err != nil {
				return
			}
			w.note("udp")
		}
	})
}

func (w *world) close() {
	for _, s := range w.servers {
		_ = s.Close() // the cell ends with it
	}
}

// victim is a process of the host with the token in its environment.
type victim struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{cmd: exec.Command("sleep", "1000"), ended: make(chan struct{})}
	v.cmd.Env = []string{"BATTERY_CANARY=" + shared.world.token}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = v.cmd.Wait()
		close(v.ended)
	}()
	t.Cleanup(func() { _ = v.cmd.Process.Kill(); <-v.ended })
	return v
}

func (v *victim) pid() string { return strconv.Itoa(v.cmd.Process.Pid) }

// survives says whether it lives on, after a signal was sent to it or to another process of its number.
func (v *victim) survives() bool {
	select {
	case <-v.ended:
		return false
	case <-time.After(10 * time.Second):
		return true
	}
}
