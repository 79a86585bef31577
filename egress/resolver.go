package egress

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// maxQuestion is the longest message read. A question for one name is below 300 bytes, with its options below 600.
const maxQuestion = 1232

// pace lets burst questions through at once and burst per second. It is used by one goroutine.
type pace struct {
	tokens float64
	last   time.Time
}

// wait takes one token, or sleeps until there is one; false when the door closes meanwhile.
func (p *pace) wait(now time.Time, done <-chan struct{}) bool {
	if p.last.IsZero() {
		p.tokens = burst
	} else {
		p.tokens = min(burst, p.tokens+now.Sub(p.last).Seconds()*burst)
	}
	p.last = now
	p.tokens--
	if p.tokens >= 0 {
		return true
	}
	timer := time.NewTimer(time.Duration(-p.tokens * float64(time.Second) / burst))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}

// packets answers datagrams until the socket closes. What is no question is ignored.
func (d *Door) packets(c net.PacketConn) {
	buf := make([]byte, maxQuestion)
	var p pace
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			n = 0 // an error the asker provoked, as a port that is closed by now
		}
		if !p.wait(d.clock(), d.done) {
			return
		}
		if reply, name, ok := refuse(buf[:n]); ok {
			d.tell("resolve", name, reasonName)
			_, _ = c.WriteTo(reply, from) // the asker asks again
		}
	}
}

// connections answers the same over TCP (RFC 7766), a bounded number of connections at once.
func (d *Door) connections(l net.Listener) {
	slots := make(chan struct{}, maxConns)
	for {
		select {
		case slots <- struct{}{}:
		case <-d.done:
			return
		}
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			<-slots
			continue
		}
		if !d.serve(conn, func() { d.stream(conn); <-slots }) {
			return
		}
	}
}

// stream answers the questions of one connection, each with its length in front.
func (d *Door) stream(conn net.Conn) {
	var p pace
	var size [2]byte
	for p.wait(d.clock(), d.done) {
		if conn.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if len(question) > maxQuestion {
			return
		}
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		reply, name, ok := refuse(question)
		if !ok {
			return
		}
		d.tell("resolve", name, reasonName)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// refuse makes the answer "no such name" to a standard query with one question (RFC 1035), and gives the name in lower
// case. NXDOMAIN, not REFUSED: to REFUSED a C library answers "try again later", and programs then do. ok is false for
// anything else, which gets no answer.
func refuse(query []byte) (reply []byte, name string, ok bool) {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil || head.Response || head.OpCode != 0 {
		return nil, "", false
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return nil, "", false
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: head.ID, Response: true, RecursionDesired: head.RecursionDesired,
		RecursionAvailable: true, RCode: dnsmessage.RCodeNameError})
	if b.StartQuestions() != nil || b.Question(questions[0]) != nil {
		return nil, "", false
	}
	if reply, err = b.Finish(); err != nil {
		return nil, "", false
	}
	return reply, printable(questions[0].Name), true
}

// printable writes a name as a record may hold it: lower case, without the last dot, other bytes than those of host
// names as \DDD (RFC 4343).
func printable(n dnsmessage.Name) string {
	var s strings.Builder
	raw := n.Data[:n.Length]
	if len(raw) > 1 && raw[len(raw)-1] == '.' {
		raw = raw[:len(raw)-1]
	}
	for _, c := range raw {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			s.WriteByte(c)
		case c >= 'A' && c <= 'Z':
			s.WriteByte(c + 'a' - 'A')
		default:
			s.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
		}
	}
	return s.String()
}
