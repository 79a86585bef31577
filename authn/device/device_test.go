package device

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casemate"
)

type hands struct {
	*Room
	now time.Time
}

func open() *hands {
	h := &hands{now: time.Unix(1_800_000_000, 0)}
	h.Room = New(func() time.Time { return h.now })
	return h
}

func (h *hands) begin(t testing.TB, from string) Started {
	t.Helper()
	s, err := h.Begin("casemate on laptop", from)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *hands) poll(t testing.TB, s Started, want string) Outcome {
	t.Helper()
	h.now = h.now.Add(Interval)
	o, err := h.Poll(s.Device)
	if err != nil || o.State != want {
		t.Fatalf("%+v, %v; want %s", o, err, want)
	}
	return o
}

func TestApprovedOnce(t *testing.T) {
	h := open()
	s := h.begin(t, "192.0.2.7")
	h.poll(t, s, Pending)
	q, err := h.Look("ada", strings.ToLower(strings.ReplaceAll(s.Code, "-", " ")))
	if err != nil || q.Client != "casemate on laptop" || q.From != "192.0.2.7" || q.Code != s.Code {
		t.Fatalf("%+v, %v", q, err)
	}
	if _, err := h.Decide("ada", "s1", s.Code, true); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Decide("eve", "s2", s.Code, true); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("decided twice: %v", err)
	}
	if _, err := h.Look("ada", s.Code); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("looked at afterwards: %v", err)
	}
	if o := h.poll(t, s, Approved); o.Operator != "ada" || o.By != "s1" {
		t.Errorf("%+v", o)
	}
	h.now = h.now.Add(Interval)
	if o, err := h.Poll(s.Device); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("used twice: %+v, %v", o, err)
	}
}

func TestDenied(t *testing.T) {
	h := open()
	s := h.begin(t, "")
	if _, err := h.Decide("ada", "s1", s.Code, false); err != nil {
		t.Fatal(err)
	}
	h.poll(t, s, Denied)
	if _, err := h.Poll(s.Device); casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
}

func TestItEnds(t *testing.T) {
	h := open()
	s, approved := h.begin(t, "192.0.2.7"), h.begin(t, "192.0.2.8")
	if _, err := h.Decide("ada", "s1", approved.Code, true); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(Lifetime)
	for _, x := range []Started{s, approved} {
		if o, err := h.Poll(x.Device); casemate.CodeOf(err) != casemate.NotFound {
			t.Errorf("%+v, %v", o, err)
		}
	}
	if _, err := h.Look("ada", s.Code); casemate.CodeOf(err) != casemate.NotFound {
		t.Error(err)
	}
}

// TestGuessedCodes: who tries codes gets no further, not with the right one, and others go on.
func TestGuessedCodes(t *testing.T) {
	h := open()
	s := h.begin(t, "192.0.2.7")
	for i := range mostGuesses {
		if _, err := h.Look("eve", fmt.Sprintf("BBBB-BBB%c", letters[i])); casemate.CodeOf(err) != casemate.NotFound {
			t.Fatal(err)
		}
	}
	if _, err := h.Look("eve", s.Code); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("after %d guesses: %v", mostGuesses, err)
	}
	if _, err := h.Decide("eve", "s", s.Code, true); casemate.CodeOf(err) != casemate.Exhausted {
		t.Error(err)
	}
	if _, err := h.Look("ada", s.Code); err != nil {
		t.Error(err)
	}
	if _, err := h.Look("", s.Code); casemate.CodeOf(err) != casemate.Forbidden {
		t.Error(err)
	}
	h.now = h.now.Add(Lifetime)
	s = h.begin(t, "192.0.2.7")
	if _, err := h.Look("eve", s.Code); err != nil {
		t.Error(err)
	}
	for _, code := range []string{"", "-", strings.Repeat("B", 100), "BBBB-BBBÉ"} {
		if _, err := h.Look("fay", code); casemate.CodeOf(err) != casemate.NotFound {
			t.Errorf("%q: %v", code, err)
		}
	}
}

func TestPolledTooOften(t *testing.T) {
	h := open()
	s := h.begin(t, "")
	h.poll(t, s, Pending)
	for i := range 20 {
		o, err := h.Poll(s.Device)
		if want := min(Interval*time.Duration(i+2), time.Minute); err != nil || o.Wait != want || o.State != Pending {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	if _, err := h.Decide("ada", "s1", s.Code, true); err != nil {
		t.Fatal(err)
	}
	if o, err := h.Poll(s.Device); err != nil || o.State != Pending { // not even now
		t.Errorf("%+v, %v", o, err)
	}
	h.now = h.now.Add(time.Minute)
	if o, err := h.Poll(s.Device); err != nil || o.State != Approved {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestFloods(t *testing.T) {
	h := open()
	for i := range mostFrom {
		h.begin(t, fmt.Sprintf("2001:db8::%x", i+1))
	}
	if _, err := h.Begin("x", "2001:db8::ffff"); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("one network: %v", err)
	}
	s := h.begin(t, "192.0.2.7") // others go on
	for i := len(h.pending); i < mostPending; i++ {
		h.begin(t, fmt.Sprintf("10.0.%d.%d", i>>8, i&255))
	}
	if _, err := h.Begin("x", "192.0.2.9"); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("all networks: %v", err)
	}
	h.poll(t, s, Pending)
	h.now = h.now.Add(Lifetime)
	h.begin(t, "192.0.2.9")
	if len(h.pending) != 1 {
		t.Errorf("%d are kept", len(h.pending))
	}
	for _, client := range []string{"", strings.Repeat("x", 65), "a\nb", "a\x1b[2J", "\xff"} {
		if _, err := h.Begin(client, ""); casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q: %v", client, err)
		}
	}
}

// TestOneOfManyGetsIt: of polls at the same time one alone gets what was approved.
func TestOneOfManyGetsIt(t *testing.T) {
	h := open()
	s := h.begin(t, "")
	if _, err := h.Decide("ada", "s1", s.Code, true); err != nil {
		t.Fatal(err)
	}
	var got atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if o, err := h.Poll(s.Device); err == nil && o.State == Approved {
				got.Add(1)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d got it", got.Load())
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := open().begin(t, "")
	if text := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(text, s.Device) || len(s.Device) != 43 {
		t.Error(text)
	}
}

func FuzzCodes(f *testing.F) {
	h := open()
	s := h.begin(f, "")
	f.Add(s.Code)
	f.Add("")
	f.Fuzz(func(t *testing.T, code string) {
		h.wrong = map[string]guesses{}
		if q, err := h.Look("ada", code); err == nil && plain(code) != plain(q.Code) {
			t.Errorf("%q is %q", code, q.Code)
		}
		if _, err := h.Poll(code); err == nil {
			t.Errorf("%q polled", code)
		}
	})
}
