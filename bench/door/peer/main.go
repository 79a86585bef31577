// Command peer is both ends of the connections that bench/door measures. As a server it echoes, sends and answers HTTP; as
// a client it prints one figure.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 && args[0] == "serve" {
		return serve()
	}
	if len(args) != 4 {
		return errors.New("usage: peer serve; peer connect|rtt|http|down HOST PORT N")
	}
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	addresses, err := net.LookupHost(args[1]) // once: resolving is not what is measured
	if err != nil {
		return err
	}
	figure, err := map[string]func(host, at string, n int) (float64, error){"connect": connect, "rtt": rtt, "http": get, "down": down}[args[0]](
		args[1], net.JoinHostPort(addresses[0], args[2]), n)
	fmt.Println(figure)
	return err
}

// The first byte of a connection says what its client wants.
const (
	wantEcho = 1
	wantData = 2
)

func serve() error {
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(raw.Addr().(*net.TCPAddr).Port, web.Addr().(*net.TCPAddr).Port)
	body := make([]byte, 1000)
	go func() {
		_ = http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })) // ends with the process
	}()
	for {
		c, err := raw.Accept()
		if err != nil {
			return err
		}
		go answer(c)
	}
}

func answer(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 256<<10)
	n, err := c.Read(buf[:1])
	for err == nil && buf[0] == wantData {
		_, err = c.Write(buf)
	}
	for err == nil {
		if _, err = c.Write(buf[:n]); err == nil {
			n, err = c.Read(buf)
		}
	}
}

// median of n timings of f, in milliseconds.
func median(n int, f func() error) (float64, error) {
	took := make([]float64, n)
	for i := range took {
		began := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		took[i] = float64(time.Since(began)) / float64(time.Millisecond)
	}
	slices.Sort(took)
	return took[n/2], nil
}

// connect opens a connection and hears one byte.
func connect(_, at string, n int) (float64, error) {
	return median(n, func() error {
		c, err := net.Dial("tcp", at)
		if err != nil {
			return err
		}
		defer c.Close()
		return ping(c)
	})
}

// rtt sends a byte to and fro on one connection.
func rtt(_, at string, n int) (float64, error) {
	c, err := net.Dial("tcp", at)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return median(n, func() error { return ping(c) })
}

func ping(c net.Conn) error {
	b := []byte{wantEcho}
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := c.Read(b)
	return err
}

// get asks for a small page on one connection.
func get(host, at string, n int) (float64, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+at+"/", nil)
	if err != nil {
		return 0, err
	}
	req.Host = host
	return median(n, func() error {
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		_, err = io.Copy(io.Discard, res.Body)
		return err
	})
}

// down downloads n MiB, and gives MiB a second.
func down(_, at string, n int) (float64, error) {
	c, err := net.Dial("tcp", at)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Write([]byte{wantData}); err != nil {
		return 0, err
	}
	buf := make([]byte, 256<<10)
	began := time.Now()
	for left := n << 20; left > 0; {
		k, err := c.Read(buf)
		if err != nil {
			return 0, err
		}
		left -= k
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
