package outflow

import "time"

// pace is a token bucket over bytes, which may go into debt: what was taken is waited for before the next.
type pace struct {
	left, burst, rate float64
	at                time.Time
}

// take counts n bytes that are to leave at now, and says how long they have to wait.
func (p *pace) take(now time.Time, n int) time.Duration {
	if !p.at.IsZero() && now.After(p.at) {
		p.left = min(p.left+now.Sub(p.at).Seconds()*p.rate, p.burst)
	}
	p.at = now
	p.left -= float64(n)
	if p.left >= 0 {
		return 0
	}
	return time.Duration(-p.left / p.rate * float64(time.Second))
}
