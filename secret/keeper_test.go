package secret

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate"
	"casemate/secret/kek"
	"casemate/store"
)

// TestDataKeyRotatesUnderWriters: nobody waits, nothing is lost, and in the end nothing is left under the old key.
func TestDataKeyRotatesUnderWriters(t *testing.T) {
	s, dir := store.Memory(time.Now), t.TempDir()
	r := open(t, s, dir)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 25 {
				name := fmt.Sprintf("w%d-%d", w, i%5)
				put(t, r, name, fmt.Sprint(i), fmt.Sprint(w, i))
				if got := read(t, r, name, fmt.Sprint(i)); got != fmt.Sprint(w, i) {
					t.Errorf("read %q", got)
				}
			}
		})
	}
	for range 5 {
		if _, err := r.RotateData(t.Context(), account); err != nil {
			t.Error(err)
		}
		if err := r.tidy(t.Context()); err != nil {
			t.Error(err)
		}
	}
	writers.Wait()
	for r.Status(account).Retiring != 0 {
		if err := r.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, bucket := range []string{"secret.items", "secret.values"} {
		for _, e := range everything(t, s)[bucket] {
			if kek.Name(sealer(e.Value)) != r.Status(account).Data {
				t.Errorf("%s: an entry is still under %08x", bucket, sealer(e.Value))
			}
		}
	}
	_ = r.Close()
	r = open(t, s, dir)
	for w := range 4 {
		for i := range 25 {
			if got := read(t, r, fmt.Sprintf("w%d-%d", w, i%5), fmt.Sprint(i)); got != fmt.Sprint(w, i) {
				t.Errorf("read %q", got)
			}
		}
	}
}

// TestRotationGoesOnAfterARestart: a node that stopped between the new key and the last entry finishes later.
func TestRotationGoesOnAfterARestart(t *testing.T) {
	s, dir := store.Memory(time.Now), t.TempDir()
	r := open(t, s, dir)
	_ = r.Close() // its keeper does nothing any more
	for i := range 10 {
		put(t, r, fmt.Sprint(i), "v", fmt.Sprint("value ", i))
	}
	if _, err := r.RotateData(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	r = open(t, s, dir)
	_ = r.Close()
	for st := r.Status(account); st.Retiring != 0; st = r.Status(account) {
		if err := r.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r = open(t, s, dir)
	for i := range 10 {
		if got := read(t, r, fmt.Sprint(i), "v"); got != fmt.Sprint("value ", i) {
			t.Error(got)
		}
	}
}

func TestMasterMovesOutOfTheFolder(t *testing.T) {
	s, dir, path := store.Memory(time.Now), t.TempDir(), keyPath(t)
	r := open(t, s, dir)
	put(t, r, "a", "v", "value")
	name, err := kek.Generate(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.RotateMaster(t.Context(), "file:"+path); err != nil || got != name {
		t.Fatal(got, err)
	}
	if _, err := os.Stat(filepath.Join(dir, ownFile)); !os.IsNotExist(err) {
		t.Errorf("the old key still lies in the folder: %v", err)
	}
	if read(t, r, "a", "v") != "value" {
		t.Error("downtime")
	}
	if _, err := r.RotateMaster(t.Context(), ""); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("renewing a key that is not the node's: %v", err)
	}
	_ = r.Close()
	_, err = Open(t.Context(), Config{Store: s, Dir: dir, Clock: time.Now})
	if e := casemate.AsError(err); e == nil || !strings.Contains(e.Message, name) || !strings.Contains(e.Hint, "file:"+path) {
		t.Fatalf("without its key: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, ownFile)); !os.IsNotExist(err) {
		t.Errorf("a second key was made: %v", err)
	}
	other := keyPath(t)
	if _, err := kek.Generate(other); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Store: s, Dir: dir, Keys: given(t, "file:"+other), Clock: time.Now}); err == nil || !strings.Contains(err.Error(), name) {
		t.Fatalf("with another key: %v", err)
	}
	r = open(t, s, dir, "file:"+other, "file:"+path) // the first wraps from now on
	_ = r.Close()
	r = open(t, s, dir, "file:"+other)
	if read(t, r, "a", "v") != "value" {
		t.Error("lost")
	}
}

// TestOwnKeyRenews: also when the node dies between any two of its steps.
func TestOwnKeyRenews(t *testing.T) {
	s, dir := store.Memory(time.Now), t.TempDir()
	r := open(t, s, dir)
	put(t, r, "a", "v", "value")
	was := r.Status(account).Master
	is, err := r.RotateMaster(t.Context(), "")
	if err != nil || is == was {
		t.Fatal(is, err)
	}
	_ = r.Close()
	r = open(t, s, dir)
	if st := r.Status(account); st.Master != is || read(t, r, "a", "v") != "value" {
		t.Fatalf("%+v", st)
	}
	both, err := r.masters[0].Renew()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.putOwn(both); err != nil { // and here it dies
		t.Fatal(err)
	}
	_ = r.Close()
	r = open(t, s, dir)
	if read(t, r, "a", "v") != "value" || r.masters[0].Renewed() || r.Status(account).Master == is {
		t.Errorf("not settled: %+v", r.Status(account))
	}
	if g := r.ring(account); g.kek != r.masters[0].Name {
		t.Errorf("wrapped by %s", g.kek)
	}
}
