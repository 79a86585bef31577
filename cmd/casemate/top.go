package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"casemate"
	"casemate/node"
)

// topFlags are the words of `casemate top`.
type topFlags struct {
	every time.Duration
	sort  string
	once  bool
}

// orders are the columns that a person can sort by, largest first; the name of the function breaks ties.
var topOrders = map[string]func(a, b *topRow) int{
	"cpu":      func(a, b *topRow) int { return cmp.Compare(b.load, a.load) },
	"memory":   func(a, b *topRow) int { return cmp.Compare(b.Memory, a.Memory) },
	"age":      func(a, b *topRow) int { return a.Started.Compare(b.Started) },
	"runs":     func(a, b *topRow) int { return cmp.Compare(b.Runs, a.Runs) },
	"refusals": func(a, b *topRow) int { return cmp.Compare(b.Refusals, a.Refusals) },
}

func (a *app) topCommand() *cobra.Command {
	var f topFlags
	c := &cobra.Command{Use: "top", Short: "Watch sandboxes live: state, isolation, age, memory, CPU, runs, refusals", Args: cobra.NoArgs,
		Long:    "Shows every sandbox of the node, and shows it again each --every, until q or Ctrl-C. Sorted by CPU; c, m, a, r and f\nsort by CPU, memory, age, runs and refusals. With --json each frame is one line; without a terminal one frame is printed.\nTENANT is the first digits of a digest: who it is stands in no table. A sandbox that waits is nobody's yet.",
		Example: "  casemate top\n  casemate top --once\n  casemate top --json --every 5s | jq '.sandboxes | length'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if topOrders[f.sort] == nil {
				return &casemate.Error{Code: casemate.Invalid, Field: "--sort", Message: "there is no such column", Hint: "cpu, memory, age, runs or refusals"}
			}
			return a.top(cmd.Context(), &f)
		}}
	c.Flags().DurationVar(&f.every, "every", time.Second, "time between two looks")
	within(c.Flags(), "every", node.MinInterval, node.MaxInterval)
	c.Flags().StringVar(&f.sort, "sort", "cpu", "cpu, memory, age, runs or refusals")
	c.Flags().BoolVar(&f.once, "once", false, "print one frame and end")
	return c
}

// top shows frames until it is told to stop, or one when nobody watches.
func (a *app) top(ctx context.Context, f *topFlags) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	screen, live := a.screen(f)
	if live {
		leave, err := screen.enter(cancel, f)
		if err != nil {
			return err
		}
		defer leave()
	}
	var before *node.Frame
	return a.stream(ctx, "", "top", map[string]any{"every_ns": f.every}, func(line []byte) error {
		if a.json {
			if f.once {
				defer cancel()
			}
			_, err := fmt.Fprintf(a.out, "%s\n", line)
			return err
		}
		var now node.Frame
		if err := decode(line, &now); err != nil {
			return err
		}
		rows := topRows(before, &now)
		before = &now
		if live {
			return screen.draw(&now, rows)
		}
		defer cancel()
		return printTop(a.out, &now, rows, f.sort, 0)
	})
}

// topRow is a box with what it used since the frame before.
type topRow struct {
	node.Box
	load float64 // cores
}

func topRows(before, now *node.Frame) []topRow {
	used := map[string]time.Duration{}
	if before != nil {
		for i := range before.Boxes {
			used[before.Boxes[i].ID] = before.Boxes[i].CPU
		}
	}
	rows := make([]topRow, len(now.Boxes))
	for i := range now.Boxes {
		rows[i].Box = now.Boxes[i]
		if was, ok := used[rows[i].ID]; ok && now.At.After(before.At) {
			rows[i].load = max(0, float64(rows[i].CPU-was)/float64(now.At.Sub(before.At)))
		}
	}
	return rows
}

// printTop writes a frame of at most height lines; 0 is any number.
func printTop(w io.Writer, now *node.Frame, rows []topRow, order string, height int) error {
	slices.SortStableFunc(rows, func(a, b topRow) int {
		return cmp.Or(topOrders[order](&a, &b), cmp.Compare(a.Function, b.Function), a.Started.Compare(b.Started))
	})
	states := map[string]int{}
	var memory int64
	load := 0.0
	for i := range rows {
		states[rows[i].State]++
		memory += rows[i].Memory
		load += rows[i].load
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s   %d sandboxes: %d busy, %d idle, %d frozen, %d waiting   %d running   %s   %.2f cores\n\n", now.At.Local().Format("15:04:05"), len(rows),
		states["busy"], states["idle"], states["frozen"], states["waiting"], now.Running, size(memory), load)
	t := newTable("FUNCTION", "VERSION", "RUNTIME", "STATE", "ISOLATION", "TENANT", "AGE", "MEMORY", "PEAK", "CPU", "CPU TIME", "RUNS", "REFUSED")
	shown := rows
	if height > 0 {
		shown = rows[:min(len(rows), max(0, height-6))]
	}
	for i := range shown {
		r := &shown[i]
		t.add(or(r.Function, "-"), number(r.Version), string(r.Runtime), r.State, or(string(r.Isolation), "-"), or(r.Partition, "-"), idleFor(now.At, r.Started), size(r.Memory),
			size(r.Peak), fmt.Sprintf("%.0f%%", 100*r.load), duration(r.CPU), strconv.Itoa(r.Runs), number(r.Refusals))
	}
	t.print(&b)
	if height > 0 {
		fmt.Fprintf(&b, "\nby %s", order)
		if more := len(rows) - len(shown); more > 0 {
			fmt.Fprintf(&b, ", %d more below", more)
		}
		b.WriteString("   c cpu  m memory  a age  r runs  f refusals  q quit")
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// terminal is the person's screen while top has it.
type terminal struct {
	out  *os.File
	keys io.Reader
	sort chan string // the column asked for last
	now  string
}

// screen is the terminal that top may take over: both ends are one, and one frame alone was not asked for.
func (a *app) screen(f *topFlags) (*terminal, bool) {
	in, isFile := a.in.(*os.File)
	out, toFile := a.out.(*os.File)
	if a.json || f.once || !isFile || !toFile || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return nil, false
	}
	return &terminal{out: out, keys: in, sort: make(chan string, 16), now: f.sort}, true
}

// enter takes the terminal over: its other screen, keys as they are pressed. What it gives back undoes that.
func (t *terminal) enter(stop context.CancelFunc, _ *topFlags) (leave func(), err error) {
	in := t.keys.(*os.File)
	was, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("preparing the terminal: %w", err)
	}
	fmt.Fprint(t.out, "\x1b[?1049h\x1b[?25l")
	// The read of a key cannot be ended; the goroutine goes with the process, which ends after this verb.
	go t.listen(stop)
	return func() {
		fmt.Fprint(t.out, "\x1b[?25h\x1b[?1049l")
		_ = term.Restore(int(in.Fd()), was) // the terminal is gone; nobody sees it
	}, nil
}

func (t *terminal) listen(stop context.CancelFunc) {
	names := map[byte]string{'c': "cpu", 'm': "memory", 'a': "age", 'r': "runs", 'f': "refusals"}
	key := make([]byte, 1)
	for {
		if n, err := t.keys.Read(key); err != nil || n == 1 && (key[0] == 'q' || key[0] == 3) { // 3 is Ctrl-C: raw keys raise no signal
			stop()
			return
		}
		select {
		case t.sort <- names[key[0]]:
		default: // nobody sorts so fast
		}
	}
}

// draw shows a frame from the top left corner, cut to the window.
func (t *terminal) draw(now *node.Frame, rows []topRow) error {
	for len(t.sort) > 0 {
		t.now = or(<-t.sort, t.now)
	}
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil || width == 0 || height == 0 { // a terminal without a window, of script(1) or a serial line, says 0
		width, height = 80, 24
	}
	var b bytes.Buffer
	if err := printTop(&b, now, rows, t.now, height); err != nil {
		return err
	}
	var screen bytes.Buffer
	screen.WriteString("\x1b[H")
	for line := range bytes.Lines(b.Bytes()) {
		text := []rune(string(bytes.TrimRight(line, "\n")))
		screen.WriteString(string(text[:min(len(text), width)]) + "\x1b[K")
		if line[len(line)-1] == '\n' { // none after the last: it would move the first out of the window
			screen.WriteString("\r\n")
		}
	}
	screen.WriteString("\x1b[J")
	if _, err := t.out.Write(screen.Bytes()); err != nil {
		return fmt.Errorf("drawing: %w", err)
	}
	return nil
}
