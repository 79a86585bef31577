package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// network reach for what nobody granted, and for the Runtime API of others.
func network() map[string]func(*api, order) answer {
	return map[string]func(*api, order) answer{
		"metadata": func(_ *api, o order) answer {
			return outside(func() answer { return get("http://169.254.169.254/latest/") })
		},
		"connect by address":  func(_ *api, o order) answer { return outside(func() answer { return get("http://93.184.216.34/") }) },
		"node by loopback":    func(_ *api, o order) answer { return outside(func() answer { return get(o["url"]) }) },
		"datagram":            func(_ *api, o order) answer { return outside(datagram) },
		"abstract socket":     func(_ *api, o order) answer { return outside(abstract) },
		"node's admin socket": adminSocket,
		"raw socket":          func(*api, order) answer { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) },
		"packet socket":       func(*api, order) answer { return socket(unix.AF_PACKET, unix.SOCK_RAW, 0x0300) },
		"netlink socket":      func(*api, order) answer { return socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE) },
		"vsock":               func(*api, order) answer { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) },
		"alg socket":          func(*api, order) answer { return socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0) },
		"interface down":      interfaceDown,
		"resolve":             func(_ *api, o order) answer { return outside(func() answer { return resolve(o["name"]) }) },
		"forged response":     forged,
		"second client":       secondClient,
		"neighbour's API":     neighboursAPI,
	}
}

// get reads a page, with no proxy and no patience.
func get(url string) answer {
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	// The connection is made on this thread's network: a name would be resolved on another.
	client.Transport.(*http.Transport).DialContext = func(_ context.Context, _, address string) (net.Conn, error) { return dial(address) }
	resp, err := client.Get(url)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return failed(err)
	}
	return worked("%s", text[:min(len(text), 256)])
}

// dial connects from the thread that it is called on, or from the network that was entered: a socket belongs to the
// namespace that it was made in, and net.Dial would make it on any thread.
func dial(address string) (net.Conn, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	type result struct {
		conn net.Conn
		err  error
	}
	made := make(chan result, 1)
	go func() { // net/http calls from a goroutine of its own
		made <- result(func() (r result) {
			a := apart(func() answer {
				if fd, err := unix.Open("/proc/1/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
					_ = unix.Setns(fd, unix.CLONE_NEWNET) // behind walls it stays where it is
				}
				r.conn, r.err = connect(to)
				return answer{}
			})
			_ = a
			return r
		}())
	}()
	r := <-made
	return r.conn, r.err
}

func connect(to *net.TCPAddr) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connecting to %s: %w", to, err)
	}
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	return net.FileConn(f)
}

func datagram() answer {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte("battery"), 0, &unix.SockaddrInet4{Port: 9999, Addr: [4]byte{93, 184, 216, 34}}); err != nil {
		return failed(err)
	}
	return answer{Detail: "sent"} // the suite knows whether it arrived
}

func abstract() answer {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: "@casemate-battery"}); err != nil {
		return failed(err)
	}
	text := make([]byte, 128)
	n, err := unix.Read(fd, text)
	if err != nil {
		return failed(err)
	}
	return worked("%s", text[:n])
}

// adminSocket speaks to the node as its operator.
func adminSocket(_ *api, o order) answer {
	conn, err := net.Dial("unix", o["socket"])
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	return worked("connected to %s", o["socket"])
}

func socket(family, kind, protocol int) answer {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return absent(err)
	}
	unix.Close(fd)
	return worked("a socket of family %d", family)
}

// interfaceDown cuts the sandbox off, and puts it back.
func interfaceDown(*api, order) answer {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	defer unix.Close(fd)
	request := ifreq{flags: unix.IFF_UP | unix.IFF_RUNNING}
	copy(request.name[:], "lo")
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, pointer(&request)); errno != 0 {
		return failed(errno)
	}
	return worked("the interface was set")
}

func resolve(name string) answer {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failed(err)
	}
	unix.Close(fd)
	all, err := net.LookupHost(name)
	if err != nil {
		return failed(err)
	}
	return worked("%v", all)
}

// forged answers an event that is not its own.
func forged(a *api, o order) answer {
	resp, err := http.Post(a.base+o["id"]+"/response", "application/json", strings.NewReader(`{"worked":true,"detail":"forged"}`))
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusAccepted {
		return worked("accepted")
	}
	return failed(fmt.Errorf("%s %s", resp.Status, bytes.TrimSpace(text)))
}

// secondClient asks for the event as another program in the sandbox would, to read along.
func secondClient(a *api, _ order) answer {
	r, err := http.NewRequest("GET", a.base+"next", nil)
	if err != nil {
		return failed(err)
	}
	r.Header.Set("User-Agent", "another")
	client := http.Client{Timeout: 3 * time.Second}
	resp, err := client.Do(r)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
	return answer{Worked: id != a.id, Detail: "it is given event " + id}
}

// neighboursAPI enters the networks of other sandboxes and takes the event that waits there.
func neighboursAPI(a *api, o order) answer {
	own, _ := os.Readlink("/proc/self/ns/net")
	all, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, file := range all {
		at, err := os.Readlink(file)
		if err != nil || at == own {
			continue
		}
		found := apart(func() answer {
			fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return failed(err)
			}
			defer unix.Close(fd)
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return failed(err)
			}
			conn, err := connect(&net.TCPAddr{IP: net.IPv4(169, 254, 100, 1), Port: 9001})
			if err != nil {
				return failed(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
			if _, err := io.WriteString(conn, "GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return failed(err)
			}
			text := make([]byte, 256)
			n, err := conn.Read(text)
			if err != nil {
				return failed(err)
			}
			return worked("%s", text[:n])
		})
		if found.Worked {
			return found
		}
	}
	return failed(fmt.Errorf("%d processes in sight, none elsewhere that answers", len(all)))
}

// askHost sends a question to the resolver at 127.0.0.1 of the network that this thread is in.
func askHost(name string) error {
	question := []byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		question = append(append(question, byte(len(label))), label...)
	}
	question = append(question, 0, 0, 1, 0, 1)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 3}); err != nil {
		return err
	}
	if err := unix.Sendto(fd, question, 0, &unix.SockaddrInet4{Port: 53, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	_, _, err = unix.Recvfrom(fd, make([]byte, 512), 0) // it has arrived when an answer comes
	return err
}
