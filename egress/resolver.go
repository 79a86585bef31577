package egress

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"casemate"
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
		if !p.wait(d.egress.cfg.Clock(), d.ctx.Done()) {
			return
		}
		if reply, ok := d.answer(buf[:n]); ok {
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
		case <-d.ctx.Done():
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
	for p.wait(d.egress.cfg.Clock(), d.ctx.Done()) {
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
		reply, ok := d.answer(question)
		if !ok {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// answer makes the answer to a standard query with one question (RFC 1035): the name's own address inside where it is
// granted on some port, "no such name" otherwise, with a record. ok is false for anything else, which gets no answer.
func (d *Door) answer(query []byte) (reply []byte, ok bool) {
	head, q, ok := question(query)
	if !ok {
		return nil, false
	}
	name := printable(q.Name)
	address, why := d.lookup(name)
	if why != "" {
		e := casemate.Effect{Kind: casemate.EffectResolve, Target: name, Reason: why}
		if why == reasonName {
			e.Grant = grantOf(name, 443) // a question names no port; most hosts are asked for this one
		}
		d.refuse(e)
	}
	reply, err := encode(head, q, address)
	return reply, err == nil
}

// lookup gives the address of a granted name, or says why not.
func (d *Door) lookup(name string) (netip.Addr, string) {
	if !isName(name) || !slices.ContainsFunc(d.ports, func(p port) bool { return d.opening.Decide(name, p.number).Verdict == casemate.Allowed }) {
		return netip.Addr{}, reasonName
	}
	a, ok := d.names.address(name)
	if !ok {
		return a, reasonNames
	}
	return a, ""
}

// question reads a query.
func question(query []byte) (head dnsmessage.Header, q dnsmessage.Question, ok bool) {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil || head.Response || head.OpCode != 0 {
		return head, q, false
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return head, q, false
	}
	return head, questions[0], true
}

// timeToLive of answers, in seconds. A name keeps its address as long as its sandbox lives.
const timeToLive = 60

// encode writes the answer. Without an address it is NXDOMAIN, not REFUSED: to REFUSED a C library answers "try again
// later", and programs then do. A granted name has no records but its address: there is no IPv6 inside.
func encode(head dnsmessage.Header, q dnsmessage.Question, address netip.Addr) ([]byte, error) {
	h := dnsmessage.Header{ID: head.ID, Response: true, RecursionDesired: head.RecursionDesired, RecursionAvailable: true}
	if !address.IsValid() {
		h.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, h)
	if err := errors.Join(b.StartQuestions(), b.Question(q), b.StartAnswers()); err != nil {
		return nil, err
	}
	if address.IsValid() && q.Type == dnsmessage.TypeA && q.Class == dnsmessage.ClassINET {
		r := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: timeToLive}
		if err := b.AResource(r, dnsmessage.AResource{A: address.As4()}); err != nil {
			return nil, err
		}
	}
	return b.Finish()
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
