package abuse

import (
	"testing"

	"golang.org/x/net/http2"

	"casemate"
	"casemate/front/conn"
	front "casemate/front/http"
)

// floods are what is sent over and over: all of it is valid HTTP/2, or breaks one stream only.
var floods = []struct {
	name, advisory string
	rule           string // that cuts it off
	before         func(p *peer) error
	send           func(p *peer) error
}{
	{"rapid reset", "CVE-2023-44487", "HTTP/2 reset allowance", nil, func(p *peer) error {
		id, err := p.ask("/wait", true)
		if err != nil {
			return err
		}
		return p.f.WriteRSTStream(id, http2.ErrCodeCancel)
	}},
	{"reset before the end of the body", "CVE-2023-44487", "HTTP/2 reset allowance", nil, func(p *peer) error {
		id, err := p.ask("/", false)
		if err != nil {
			return err
		}
		if err := p.f.WriteData(id, false, make([]byte, 100)); err != nil {
			return err
		}
		return p.f.WriteRSTStream(id, http2.ErrCodeCancel)
	}},
	{"made you reset: window of nothing", "CVE-2025-8671", "HTTP/2 reset allowance", nil, broken(func(p *peer, id uint32) error { return p.f.WriteWindowUpdate(id, 0) })},
	{"made you reset: window that overflows", "CVE-2025-8671", "HTTP/2 reset allowance", nil, broken(func(p *peer, id uint32) error { return p.f.WriteWindowUpdate(id, 1<<31-1) })},
	{"made you reset: body longer than declared", "CVE-2025-8671", "HTTP/2 reset allowance", nil, func(p *peer) error {
		id := p.stream()
		if err := p.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.fields("/wait", "content-length", "1"), EndHeaders: true}); err != nil {
			return err
		}
		return p.f.WriteData(id, true, make([]byte, 100))
	}},
	{"made you reset: body after its end", "CVE-2025-8671", "HTTP/2 reset allowance", nil, func(p *peer) error {
		id, err := p.ask("/wait", true)
		if err != nil {
			return err
		}
		return p.f.WriteData(id, true, make([]byte, 100))
	}},
	{"made you reset: depends on itself", "CVE-2025-8671", "HTTP/2 reset allowance", nil, func(p *peer) error {
		id := p.stream()
		return p.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.fields("/"), EndHeaders: true, EndStream: true, Priority: http2.PriorityParam{StreamDep: id, Weight: 1}})
	}},
	{"made you reset: malformed name", "CVE-2025-8671", "HTTP/2 reset allowance", nil, func(p *peer) error {
		id := p.stream()
		return p.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.fields("/", "Upper", "x"), EndHeaders: true, EndStream: true})
	}},
	{"more streams than there may be", "", "HTTP/2 reset allowance", func(p *peer) error {
		for range 64 {
			if _, err := p.ask("/wait", true); err != nil {
				return err
			}
		}
		return nil
	}, func(p *peer) error {
		_, err := p.ask("/wait", true)
		return err
	}},
	{"SETTINGS", "CVE-2019-9515", "HTTP/2 idle frame allowance", nil, func(p *peer) error {
		return p.f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 4096})
	}},
	{"empty SETTINGS", "CVE-2019-9515", "HTTP/2 idle frame allowance", nil, func(p *peer) error { return p.f.WriteSettings() }},
	{"PING", "CVE-2019-9512", "HTTP/2 idle frame allowance", nil, func(p *peer) error { return p.f.WritePing(false, [8]byte{2}) }},
	{"PRIORITY", "CVE-2019-9513", "HTTP/2 idle frame allowance", nil, func(p *peer) error {
		return p.f.WritePriority(1<<20+1, http2.PriorityParam{Weight: 1})
	}},
	{"frames that nobody knows", "", "HTTP/2 idle frame allowance", nil, func(p *peer) error { return p.f.WriteRawFrame(0xbe, 0, 0, nil) }},
	{"WINDOW_UPDATE", "", "HTTP/2 idle frame allowance", nil, func(p *peer) error { return p.f.WriteWindowUpdate(0, 1) }},
	{"empty DATA", "CVE-2019-9518", "HTTP/2 idle frame allowance", body, func(p *peer) error { return p.f.WriteData(1, false, nil) }},
	{"DATA byte by byte", "CVE-2019-9511", "HTTP/2 idle frame allowance", body, func(p *peer) error { return p.f.WriteData(1, false, []byte("x")) }},
	{"empty CONTINUATION", "CVE-2023-45288", "HTTP/2 CONTINUATION frames", func(p *peer) error {
		return p.f.WriteHeaders(http2.HeadersFrameParam{StreamID: p.stream(), BlockFragment: p.fields("/")})
	}, func(p *peer) error { return p.f.WriteContinuation(1, false, nil) }},
}

// broken opens a stream and breaks it.
func broken(how func(p *peer, id uint32) error) func(p *peer) error {
	return func(p *peer) error {
		id, err := p.ask("/wait", true)
		if err != nil {
			return err
		}
		return how(p, id)
	}
}

// body opens a stream whose body is read.
func body(p *peer) error {
	_, err := p.ask("/", false)
	return err
}

// A flood ends its connection soon, is one entry of the record, and costs others nothing.
func TestFloodsAreCutOff(t *testing.T) {
	for _, a := range floods {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			x := open(t, front.Limits{Conn: conn.Limits{Resets: casemate.Rate{PerSecond: 1e-3, Burst: 40}, Idle: casemate.Rate{PerSecond: 1e-3, Burst: 300}}})
			p := x.dial(t)
			if a.before != nil {
				if err := a.before(p); err != nil {
					t.Fatal(err)
				}
			}
			sent := 0
			for ; sent < 200_000 && a.send(p) == nil; sent++ {
			}
			if sent == 200_000 {
				t.Fatal("it went on and on")
			}
			if !p.calmed() {
				t.Errorf("the peer was not told why: %v", p.away)
			}
			x.honest(t)
			// What was on its way when the connection ended was not dealt with, so what ran tells more than what was sent. At most 64 run
			// at once; one more begins for each of the 40 that are forgiven, and of those broken off in one breath with the last; one is honest.
			if n := x.runs.Load(); n > 64+40+64+1 {
				t.Errorf("%d runs", n)
			}
			x.rest() // who is cut off takes what runs for it along
			x.stop()
			if n, entries := x.times(a.rule); n != 1 || entries != 1 {
				t.Errorf("told %d times in %d entries: %v", n, entries, x.told)
			}
		})
	}
}

// Without our bounds the same floods go on for as long as they like: what cuts them off is not Go's server.
func TestFloodsGoOnWhereNothingBoundsThem(t *testing.T) {
	for _, a := range floods {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			x := open(t, weak())
			p := x.dial(t)
			if a.before != nil {
				if err := a.before(p); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 600 {
				if err := a.send(p); err != nil {
					t.Fatalf("cut off after %d: %v", i, err)
				}
				if i%30 == 29 && a.name != "empty CONTINUATION" && !p.alive() { // Go's own bound on resets that come in one breath
					t.Fatalf("cut off after %d", i)
				}
			}
		})
	}
}
