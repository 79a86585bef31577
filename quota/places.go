package quota

import "time"

// places are runs at once of one function, or of what is not set aside on the node. Whoever runs or waits for one is
// counted, so that callers share them: a caller waits behind itself only.
//
// While there are free ones, a caller takes them; of places that others use as well, it leaves some (a dynamic threshold:
// no more than spare times what stays free), so that one flooder leaves an eighth. When there are none, a caller below its
// even share waits for a short time, and who has the fewest runs is served first; all others are refused at once.
type places struct {
	running int
	by      map[key]share
	queue   []*wait
	busy    int64 // since when somebody waited all the time; meaningful while the queue is not empty
	recent  [2]struct {
		who key
		at  int64
	}
}

// share is one caller's part of the places. There is none for a caller that neither runs nor waits.
type share struct{ running, waiting int }

// wait is one run that waits for its place.
type wait struct {
	who      key
	given    bool
	turn     chan struct{} // gets its one value when the place is given
	patience time.Duration
}

const (
	spare     = 7                       // a caller may have this many times what it leaves free: 7/8 alone, 7/15 of two
	together  = int64(10 * time.Minute) // places are shared when two callers used them within this time
	patience  = 500 * time.Millisecond  // a wait for a place
	hurry     = 50 * time.Millisecond   // likewise, once there was no end of the queue for as long as patience
	longQueue = 1024                    // waits at most, whatever the limit
)

func (p *places) empty() bool { return p.running == 0 && len(p.queue) == 0 }

// take gives a place, or a wait, or neither. open says that the places are everybody's, whether or not anybody else came
// lately. The zero key is nobody in particular: it takes what is free.
func (p *places) take(t int64, who key, most int, open bool) (taken bool, w *wait) {
	mine, free := p.by[who], most-p.running
	if who == (key{}) {
		if free <= 0 {
			return false, nil
		}
		p.add(who, 1, 0)
		return true, nil
	}
	shared := p.others(t, who) || open && most >= 8
	if free > 0 {
		if !shared || mine.running == 0 || mine.running < spare*(free-1) {
			p.add(who, 1, 0)
			return true, nil
		}
		return false, nil
	}
	callers := len(p.by)
	if mine == (share{}) {
		callers++
	}
	if mine.running+mine.waiting >= max(1, most/callers) || len(p.queue) >= min(most, longQueue) {
		return false, nil
	}
	if len(p.queue) == 0 {
		p.busy = t
	}
	w = &wait{who: who, turn: make(chan struct{}, 1), patience: p.patience(t)}
	p.queue = append(p.queue, w)
	p.add(who, 0, 1)
	return false, w
}

// others notes that who came, and reports whether somebody else did lately.
func (p *places) others(t int64, who key) bool {
	a, b := &p.recent[0], &p.recent[1]
	older := b.who == (key{}) || a.who != (key{}) && b.at < a.at
	if b.who == who || a.who != who && older {
		a, b = b, a
	}
	a.who, a.at = who, t
	return b.who != (key{}) && b.who != who && t-b.at < together
}

func (p *places) add(who key, running, waiting int) {
	p.running += running
	s := p.by[who]
	s.running += running
	s.waiting += waiting
	if s == (share{}) {
		delete(p.by, who)
		return
	}
	if p.by == nil {
		p.by = map[key]share{}
	}
	p.by[who] = s
}

// give takes a run's place back and hands it to who waits with the fewest runs of its own: the first of them, or the last
// when the queue does not come to an end, because the first has then waited in vain for most of its time.
func (p *places) give(t int64, who key, most int) {
	p.add(who, -1, 0)
	if len(p.queue) == 0 || p.running >= most {
		return
	}
	best := 0
	for i, w := range p.queue {
		n, least := p.by[w.who].running, p.by[p.queue[best].who].running
		if n < least || n == least && p.long(t) {
			best = i
		}
	}
	w := p.queue[best]
	p.queue = append(p.queue[:best], p.queue[best+1:]...)
	p.add(w.who, 1, -1)
	w.given = true
	w.turn <- struct{}{}
}

// leave ends a wait without a place; false when it was given meanwhile.
func (p *places) leave(w *wait) bool {
	if w.given {
		return false
	}
	for i := range p.queue {
		if p.queue[i] == w {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			p.add(w.who, 0, -1)
			break
		}
	}
	return true
}

func (p *places) long(t int64) bool { return len(p.queue) > 0 && t-p.busy > int64(patience) }

// patience is how long a wait that begins now may last: short where waits have become the rule, so that the queue ends
// (controlled delay; https://queue.acm.org/detail.cfm?id=2839461).
func (p *places) patience(t int64) time.Duration {
	if p.long(t) {
		return hurry
	}
	return patience
}
