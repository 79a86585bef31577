package layer

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/store"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, s store.Store) *Room {
	t.Helper()
	r, err := Open(Config{Store: s, Place: casemate.DefaultPlace, Clock: func() time.Time { return noon }, Inspect: func(r io.ReaderAt, size int64) (int64, []string, error) {
		b := make([]byte, size)
		if _, err := r.ReadAt(b, 0); err != nil || !strings.HasPrefix(string(b), "zip") {
			return 0, nil, casemate.Errorf(casemate.Invalid, "", "no archive")
		}
		return 2 * size, []string{"probe"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Lambda checklist: 77
func TestPublished(t *testing.T) {
	s := store.Memory(func() time.Time { return noon })
	r := open(t, s)
	ctx := t.Context()
	if _, err := r.Publish(ctx, "tools", Version{}, []byte("no")); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("what is no archive: %v", err)
	}
	for n := 1; n <= 3; n++ {
		v, err := r.Publish(ctx, "tools", Version{Description: "d"}, []byte("zip of "+strings.Repeat("x", n)))
		if err != nil || v.Number != n || v.ARN != casemate.DefaultPlace.LayerARN("tools", n) || v.Size != int64(7+n) || v.Unpacked != 2*v.Size || len(v.Code) != 64 || !v.Created.Equal(noon) {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	if err := errors.Join(r.Delete(ctx, "tools", 3), r.Delete(ctx, "tools", 3), r.Delete(ctx, "gone", 1)); err != nil {
		t.Error(err)
	}
	if v, err := r.Publish(ctx, "tools", Version{}, []byte("zip")); err != nil || v.Number != 4 {
		t.Errorf("the number of a deleted version is given again: %+v, %v", v, err)
	}
	r = open(t, s) // what was published is there after a start
	if _, there, err := r.Get(ctx, "tools", 3); there || err != nil {
		t.Errorf("a deleted version is there, %v", err)
	}
	list, err := r.Versions(ctx, "tools")
	if err != nil || len(list) != 3 || list[0].Number != 4 || list[2].Number != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if all, err := r.All(ctx); err != nil || len(all) != 1 || all[0].Name != "tools" || all[0].Versions[0].Number != 4 {
		t.Errorf("%+v, %v", all, err)
	}
	if l, err := r.Find(casemate.DefaultPlace.LayerARN("tools", 2)); err != nil || l.Size != 9 || l.Extensions[0] != "probe" {
		t.Errorf("%+v, %v", l, err)
	}
	for _, arn := range []string{casemate.DefaultPlace.LayerARN("tools", 3), casemate.DefaultPlace.LayerARN("tools", 9), "arn:aws:lambda:eu-west-1:000000000000:layer:tools:1", "tools", "arn:aws:lambda:us-east-1:000000000000:layer:tools:01", "arn:aws:lambda:us-east-1:000000000000:layer:tools"} {
		if l, err := r.Find(arn); casemate.CodeOf(err) != casemate.NotFound {
			t.Errorf("%s: %+v, %v", arn, l, err)
		}
	}
}

// TestPublishedAtOnce: nobody gets another's number.
func TestPublishedAtOnce(t *testing.T) {
	r := open(t, store.Memory(func() time.Time { return noon }))
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]bool{}
	for range 4 {
		all.Go(func() {
			v, err := r.Publish(t.Context(), "tools", Version{}, []byte("zip"))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[v.Number] {
				t.Errorf("%d, %v", v.Number, err)
			}
			seen[v.Number] = true
		})
	}
	all.Wait()
}

func FuzzParse(f *testing.F) {
	f.Add("tools")
	f.Add(casemate.DefaultPlace.LayerARN("tools", 7))
	f.Fuzz(func(t *testing.T, text string) {
		name, number, ok := Parse(casemate.DefaultPlace, text)
		if ok && text != name && text != casemate.DefaultPlace.LayerARN(name, number) && text+":0" != casemate.DefaultPlace.LayerARN(name, 0) {
			t.Fatalf("%q is %s %d", text, name, number)
		}
	})
}
