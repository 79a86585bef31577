package load

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

func target(t *testing.T, h http.HandlerFunc) Target {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Target{Addr: s.Listener.Addr().String(), Request: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Status: 200, Body: "hi", PID: os.Getpid()}
}

func TestDriveCountsAndChecks(t *testing.T) {
	good := target(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hi") })
	run, err := Drive(t.Context(), good, 2, 200*time.Millisecond, false)
	if err != nil || run.Requests == 0 || run.CPU <= 0 || run.PerRequest() <= 0 {
		t.Errorf("got %+v, %v", run, err)
	}
	wrong := target(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ho") })
	if _, err := Drive(t.Context(), wrong, 1, 100*time.Millisecond, false); err == nil {
		t.Error("a wrong body went unseen")
	}
	refusing := target(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) })
	if _, err := Drive(t.Context(), refusing, 1, 100*time.Millisecond, false); err == nil {
		t.Error("a wrong status went unseen")
	}
	if run, err := Drive(t.Context(), refusing, 1, 100*time.Millisecond, true); err != nil || run.Statuses[429] == 0 || run.Requests != 0 {
		t.Errorf("got %+v, %v", run, err)
	}
}

func TestCompareOfEquals(t *testing.T) {
	same := target(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hi") })
	c, err := Compare(t.Context(), same, same, 2, 2, 200*time.Millisecond)
	if err != nil || c.E.Median < 0.2 || c.E.Median > 5 || c.R.Min <= 0 {
		t.Errorf("a server against itself: %+v, %v", c, err)
	}
}

func TestStatReadsNamesWithSpaces(t *testing.T) {
	pid, parent, self, waited, err := stat("42 (a b) c) S 7 1 1 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1")
	if err != nil || pid != 42 || parent != 7 || self != 30 || waited != 70 {
		t.Errorf("got %d %d %d %d %v", pid, parent, self, waited, err)
	}
	if _, _, _, _, err := stat("nonsense"); err == nil {
		t.Error("nonsense was read")
	}
}

func TestABBA(t *testing.T) {
	f := ABBA([][4]float64{{100, 110, 130, 100}, {100, 100, 100, 100}, {100, 200, 200, 100}})
	if f.Ratio != 1.2 || f.Min != 1 || f.Max != 2 || f.Noisy || f.Control != 1 {
		t.Errorf("%+v", f)
	}
	if f = ABBA([][4]float64{{100, 100, 100, 200}}); !f.Noisy {
		t.Errorf("%+v", f)
	}
}
