package queue

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/store"
)

const childDir = "CASEMATE_TEST_QUEUE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child sends and deletes until it is killed, and says what was acknowledged: "+ body" and "- body".
func child(dir string) {
	ctx := context.Background()
	n, err := store.Open(ctx, store.Config{Dir: dir})
	if err != nil {
		fmt.Println("!", err)
		return
	}
	r, err := Open(ctx, Config{Store: n, Place: casemate.DefaultPlace})
	if err != nil {
		fmt.Println("!", err)
		return
	}
	spec := Defaults()
	spec.FIFO, spec.Visibility = true, MaxVisibility
	q, err := r.Create(ctx, "jobs.fifo", spec, nil, "")
	if err != nil {
		fmt.Println("!", err)
		return
	}
	for i := 0; ; i++ {
		body := fmt.Sprintf("%d-%d", os.Getpid(), i)
		if _, errs := q.Send(ctx, []Outgoing{{Body: body, Group: fmt.Sprint("g", i%3), Dedup: body}}); errs[0] == nil {
			fmt.Println("+", body)
		}
		if i%3 != 0 {
			continue
		}
		list, err := q.Receive(ctx, Ask{Most: 1})
		if err == nil && len(list) == 1 {
			fmt.Println("?", list[0].Body) // it may be deleted from here on
			if q.Delete(ctx, []string{list[0].Handle})[0] == nil {
				fmt.Println("-", list[0].Body)
			}
		}
	}
}

// A process that is killed loses no message that it acknowledged, brings back none whose deletion it acknowledged, and keeps
// the order of each group.
// Lambda checklist: 60
func TestKilledQueuesLoseNothing(t *testing.T) {
	rounds := 3
	if os.Getenv("CASEMATE_FULL") != "" {
		rounds = 30
	}
	dir := t.TempDir()
	sent, maybe, gone := []string{}, map[string]bool{}, map[string]bool{}
	for range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, n := bufio.NewScanner(out), 0
		for lines.Scan() {
			what, body, _ := strings.Cut(lines.Text(), " ")
			switch what {
			case "+":
				sent = append(sent, body)
			case "?":
				maybe[body] = true
			case "-":
				gone[body] = true
			default:
				t.Error(lines.Text())
			}
			if n++; n == 300 {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
	}
	n, err := store.Open(t.Context(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	later := func() time.Time { return time.Now().Add(2 * MaxVisibility) } // what was in flight is back
	r, err := Open(t.Context(), Config{Store: n, Place: casemate.DefaultPlace, Clock: later})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	q, err := r.Queue("jobs.fifo")
	if err != nil {
		t.Fatal(err)
	}
	left, order := map[string]bool{}, map[string]int{}
	for i, body := range sent {
		order[body] = i
	}
	last := map[string]int{}
	for {
		list, err := q.Receive(t.Context(), Ask{Most: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			left[m.Body] = true
			if i, known := order[m.Body]; known {
				if i < last[m.Group] {
					t.Errorf("%s is behind what was sent after it", m.Body)
				}
				last[m.Group] = i
			}
			if gone[m.Body] {
				t.Errorf("%s was deleted, and is back", m.Body)
			}
			if err := q.Delete(t.Context(), []string{m.Handle})[0]; err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, body := range sent {
		if !left[body] && !maybe[body] {
			t.Errorf("%s was acknowledged, and is lost", body)
		}
	}
	if len(sent) < rounds*100 {
		t.Errorf("only %d were sent", len(sent))
	}
}
