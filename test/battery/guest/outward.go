package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// outward go through the door of a function that may reach some names, as honest programs do.
func outward() map[string]func(*api, order) answer {
	return map[string]func(*api, order) answer{"get": fetch, "two hosts": twoHosts, "tls": shake, "tunnel": tunnel}
}

// fetch gets a page, following redirects, and names another host in the request when it is told to.
func fetch(_ *api, o order) answer {
	times, _ := strconv.Atoi(o["times"]) // none is once
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var last error
	reached := ""
	for range max(times, 1) {
		r, err := http.NewRequest("GET", o["url"], nil)
		if err != nil {
			return failed(err)
		}
		if o["host"] != "" {
			r.Host = o["host"]
		}
		resp, err := client.Do(r)
		if err != nil {
			last = err
			continue
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		reached, last = string(text), err
	}
	if reached != "" {
		return worked("%s %v", reached, last)
	}
	return failed(last)
}

// twoHosts names the right host first, and another one on the same connection.
func twoHosts(_ *api, o order) answer {
	conn, err := net.DialTimeout("tcp", o["to"]+":80", 5*time.Second)
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(conn)
	for _, host := range []string{o["to"], o["host"]} {
		if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
			return failed(fmt.Errorf("for %s: %w", host, err))
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return failed(fmt.Errorf("for %s: %w", host, err))
		}
		_, _ = io.Copy(io.Discard, resp.Body) // that it came is enough
		resp.Body.Close()
	}
	return worked("both were answered")
}

// shake begins TLS with a name that it was not granted, or with none. Whose certificate comes is of no interest.
func shake(_ *api, o order) answer {
	conn, err := net.DialTimeout("tcp", o["to"]+":443", 5*time.Second)
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := tls.Client(conn, &tls.Config{ServerName: o["sni"], InsecureSkipVerify: true}).Handshake(); err != nil {
		return failed(err)
	}
	return worked("a session for %q", o["sni"])
}

// tunnel asks for a name that carries a secret: whoever serves its domain would read it. It asks the sandbox's resolver,
// and the host's where it gets there.
func tunnel(_ *api, o order) answer {
	_, err := net.LookupHost(o["name"])
	return outside(func() answer {
		asked := askHost(o["name"])
		return answer{Detail: fmt.Sprint(err, ", ", asked)}
	})
}
