package battery

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// The names of the world. One is granted and good; others are granted and lead where nothing may; one is not granted.
const (
	good     = "good.battery.example"
	rebind   = "rebind.battery.example" // each answer leads elsewhere
	metadata = "metadata.battery.example"
	local    = "local.battery.example"
	wild     = "wild.battery.example" // names one label below are granted
	evil     = "evil.battery.example"
)

// outward are the attacks on the way out: of a function that may reach some names.
func outward() []attack {
	out := func(name, seen, arrived string, order map[string]string, quick bool) attack {
		return attack{name: name, walls: "door", function: "outgoing", seen: seen, order: order, prepare: arrives(arrived), quick: quick}
	}
	url := func(u string) map[string]string { return map[string]string{"attack": "get", "url": u} }
	return []attack{
		out("name not granted", "resolve "+evil, "tcp 93.184.216.34:80 host "+evil, url("http://"+evil+"/"), true),
		out("name two labels deep", "resolve a.b."+wild, "tcp 93.184.216.34:80 host a.b."+wild, url("http://a.b."+wild+"/"), false),
		out("name leads to metadata", "connect "+metadata+":80", "tcp 169.254.169.254:80", url("http://"+metadata+"/"), true),
		out("name leads to loopback", "connect "+local+":80", "tcp 127.0.0.1:80", url("http://"+local+"/"), false),
		out("name is rebound", "connect "+rebind+":80", "tcp 10.6.6.6:80", map[string]string{"attack": "get", "url": "http://" + rebind + "/", "times": "6"}, false),
		out("redirect to metadata", "connect 169.254.169.254:80", "tcp 169.254.169.254:80", url("http://"+good+"/redirect"), true),
		out("address at a granted port", "connect 198.41.0.4:80", "tcp 198.41.0.4:80", url("http://198.41.0.4/"), false),
		out("another Host", "connect "+good+":80", "tcp 93.184.216.34:80 host "+evil, map[string]string{"attack": "get", "url": "http://" + good + "/", "host": evil}, false),
		out("another Host, second request", "connect "+good+":80", "tcp 93.184.216.34:80 host "+evil, map[string]string{"attack": "two hosts", "to": good, "host": evil}, false),
		out("another SNI", "connect "+good+":443", "tls "+evil, map[string]string{"attack": "tls", "to": good, "sni": evil}, true),
		out("no SNI", "connect "+good+":443", "tls .", map[string]string{"attack": "tls", "to": good, "sni": ""}, false),
		out("name in a question", "resolve ", "dns stolen-", map[string]string{"attack": "tunnel", "name": "stolen-token." + evil}, false),
	}
}

// grants of the function that may reach some names.
func grants() string {
	return strings.Join([]string{"connect " + good + ":80", "connect " + good + ":443", "connect " + rebind + ":80", "connect " + metadata + ":80",
		"connect " + local + ":80", `"connect *.` + wild + `:80"`}, ", ")
}

// answers gives the address of a name. The good ones lead into the public Internet, as far as the cell has one.
func (w *world) answers(name string) [4]byte {
	switch name {
	case metadata:
		return [4]byte{169, 254, 169, 254}
	case local:
		return [4]byte{127, 0, 0, 1}
	case rebind:
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.asked++; w.asked%2 == 0 {
			return [4]byte{10, 6, 6, 6}
		}
	}
	return [4]byte{93, 184, 216, 34}
}

// listenNames serves the names and the TLS of the world.
func (w *world) listenNames() error {
	questions, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		return err
	}
	w.servers = append(w.servers, questions)
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := questions.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			if reply, err := w.reply(buf[:n]); err == nil {
				_, _ = questions.WriteTo(reply, from) // who asked asks again
			}
		}
	}()
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	secure, err := tls.Listen("tcp", "0.0.0.0:443", &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		w.note("tls " + h.ServerName + ".")
		return &tls.Config{Certificates: []tls.Certificate{certificate}}, nil
	}})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(w.answer), ErrorLog: log.New(io.Discard, "", 0)} // sessions that the door breaks
	w.servers = append(w.servers, server)
	go func() { _ = server.Serve(secure) }() // ends with Close
	return nil
}

func (w *world) reply(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 {
		return nil, fmt.Errorf("%d questions", len(m.Questions))
	}
	q := m.Questions[0]
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	w.note("dns " + name)
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0}, Body: &dnsmessage.AResource{A: w.answers(name)}}}
	}
	return m.Pack()
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// TestGrantedName shows that the world can be reached at all: else the attacks on the door would fail for another reason.
func TestGrantedName(t *testing.T) {
	n := furnished(t, withWalls, 0)
	shared.world.saw("")
	r, err := n.send(t.Context(), "outgoing", map[string]string{"attack": "get", "url": "http://" + good + "/"})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Worked || !shared.world.saw("tcp 93.184.216.34:80 host "+good) {
		t.Errorf("it was not reached: %+v", r)
	}
}
