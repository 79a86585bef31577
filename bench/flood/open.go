// Package flood measures what a tenant notices while another one floods (P10), and what one rejection costs.
package flood

import (
	"bufio"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"casemate/bench/load"
)

// Stream is an open loop: requests are due at fixed times, whether or not those before were answered.
type Stream struct {
	Addr    string
	From    string // local address to connect from
	Request []byte
	Status  int    // the answer that counts
	Body    string // and its body; "" is any
	Rate    int    // a second
	Conns   int
}

// Seen is what one stream saw in one part.
type Seen struct {
	Due, Good int
	Others    map[int]int   // answers with another status
	P99       time.Duration // of the good ones, from when they were due
}

// Goodput is the part of what was due that was answered as it should be.
func (s *Seen) Goodput() float64 { return float64(s.Good) / float64(max(s.Due, 1)) }

// lines are a stream's connections, made once and used by every part.
type lines struct {
	Stream
	conns []net.Conn
	ins   []*bufio.Reader
}

func (s Stream) open(ctx context.Context) (*lines, error) {
	l := &lines{Stream: s}
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(s.From)}}
	for range s.Conns {
		c, err := d.DialContext(ctx, "tcp", s.Addr)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.conns, l.ins = append(l.conns, c), append(l.ins, bufio.NewReader(c))
	}
	return l, nil
}

func (l *lines) close() error {
	var errs []error
	for _, c := range l.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// run sends for d. A request that finds no free connection waits for one, and the wait counts; what is still waiting when
// the time is over, with no answer for as long again, is no goodput.
func (l *lines) run(ctx context.Context, d time.Duration) (Seen, error) {
	due := make(chan time.Time, l.Rate*int(d/time.Millisecond)/1000+l.Rate)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var took []time.Duration
	seen, errs := Seen{Others: map[int]int{}}, []error{}
	end := time.Now().Add(2 * d)
	for i := range l.conns {
		wg.Go(func() {
			for at := range due {
				status, err := l.one(i, end)
				mu.Lock()
				switch {
				case err != nil:
					errs = append(errs, err)
				case status == l.Status:
					seen.Good++
					took = append(took, time.Since(at))
				default:
					seen.Others[status]++
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	start := time.Now()
	for time.Since(start) < d && ctx.Err() == nil {
		for at := start.Add(time.Duration(seen.Due) * time.Second / time.Duration(l.Rate)); !at.After(time.Now()); at = start.Add(time.Duration(seen.Due) * time.Second / time.Duration(l.Rate)) {
			due <- at
			seen.Due++
		}
		time.Sleep(time.Millisecond)
	}
	close(due)
	wg.Wait()
	if slices.Sort(took); len(took) > 0 {
		seen.P99 = took[len(took)*99/100]
	}
	return seen, errors.Join(errs...)
}

func (l *lines) one(i int, end time.Time) (int, error) {
	if err := l.conns[i].SetDeadline(end.Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := l.conns[i].Write(l.Request); err != nil {
		return 0, err
	}
	status, body, err := load.Answer(l.ins[i])
	if err == nil && status == l.Status && l.Body != "" && string(body) != l.Body {
		return 0, errors.New("a body that is not the wanted one: " + string(body))
	}
	return status, err
}
