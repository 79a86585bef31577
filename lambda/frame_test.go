package lambda_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/lambda"
)

func frame(kind uint32, text string) []byte {
	b := binary.BigEndian.AppendUint32(nil, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	if kind != 0xa55a0001 {
		b = binary.BigEndian.AppendUint64(b, 1_700_000_000_000_000)
	}
	return append(b, text...)
}

// Lambda checklist: 30
func TestFramesAreEntries(t *testing.T) {
	stream := slices.Concat(frame(0xa55a0003|0xc, "two\nlines\n"), frame(0xa55a0002|0x14, `{"a":1}`), frame(0xa55a0001, "old"),
		frame(0xa55a0003|4, "\n"), frame(0xa55a0003|0x18, strings.Repeat("x", 25)), frame(0xa55a0003, ""))
	want := []string{"INFO two\nlines", `ERROR {"a":1}`, " old", "TRACE ", "FATAL " + strings.Repeat("x", 10), "FATAL " + strings.Repeat("x", 10), "FATAL xxxxx", " "}
	for _, step := range []int{1, 2, 3, 7, 16, 1000} {
		r := lambda.FrameReader{Most: 10}
		var got []string
		do := func(level string, text []byte) { got = append(got, level+" "+string(text)) }
		for part := range slices.Chunk(stream, step) {
			if rest := r.Read(part, do); len(rest) > 0 {
				t.Fatalf("step %d: %q was not read", step, rest)
			}
		}
		r.End(do)
		if !slices.Equal(got, want) {
			t.Errorf("step %d:\n got %q\nwant %q", step, got, want)
		}
	}
}

// What is no frame is given back whole, whichever way it came in, and a frame that its writer did not finish is an entry.
func TestFramesThatAreNone(t *testing.T) {
	stream := slices.Concat(frame(0xa55a0003, "good\n"), []byte("plain text\nmore\n"))
	for step := 1; step < len(stream); step++ {
		r := lambda.FrameReader{Most: 100}
		var got, plain []byte
		for part := range slices.Chunk(stream, step) {
			plain = append(plain, r.Read(part, func(_ string, text []byte) { got = append(got, text...) })...)
		}
		if string(got) != "good" || string(plain) != "plain text\nmore\n" || !r.Broken() {
			t.Fatalf("step %d: %q, %q", step, got, plain)
		}
	}
	r := lambda.FrameReader{Most: 100}
	var got string
	do := func(level string, text []byte) { got += fmt.Sprintf("%s %s;", level, text) }
	r.Read(frame(0xa55a0003|8, "cut off")[:19], do)
	if r.End(do); got != "DEBUG cut;" {
		t.Errorf("got %q", got)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(0xa55a0003|0xc, "a\nb\n"), 3)
	f.Add(frame(0xa55a0001, "old"), 1)
	f.Add([]byte{0xa5, 0x5a, 0, 3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 'x'}, 5)
	f.Fuzz(func(t *testing.T, stream []byte, step int) {
		if step < 1 || step > 1<<16 {
			return
		}
		read := func(step int) (entries, plain []byte) {
			r := lambda.FrameReader{Most: 64}
			do := func(level string, text []byte) {
				if len(text) > 64 {
					t.Fatalf("an entry of %d bytes", len(text))
				}
				entries = fmt.Appendf(entries, "%s %q;", level, text)
			}
			for part := range slices.Chunk(stream, step) {
				plain = append(plain, r.Read(part, do)...)
			}
			r.End(do)
			return entries, plain
		}
		entries, plain := read(step)
		whole, rest := read(len(stream) + 1)
		if !bytes.Equal(entries, whole) || !bytes.Equal(plain, rest) {
			t.Fatalf("in steps of %d: %q %q\nat once: %q %q", step, entries, plain, whole, rest)
		}
	})
}
