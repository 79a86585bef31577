package secret

import (
	"bytes"
	"testing"
	"time"

	"casemate"
	"casemate/store"
)

// TestVault: what the platform keeps for itself opens again, also after the keys have changed, and goes for good.
func TestVault(t *testing.T) {
	d := open(t, store.Memory(time.Now), t.TempDir())
	v := d.Vault("000000000000")
	if _, err := v.Get(t.Context(), "AKIA1"); casemate.CodeOf(err) != casemate.NotFound {
		t.Fatal(err)
	}
	if err := v.Put(t.Context(), "AKIA1", []byte("sesame")); err != nil {
		t.Fatal(err)
	}
	if err := v.Put(t.Context(), "AKIA1", []byte("other")); casemate.CodeOf(err) != casemate.Conflict {
		t.Errorf("a second value of one name: %v", err)
	}
	if _, err := d.RotateData(t.Context(), "000000000000"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := v.Get(t.Context(), "AKIA1"); err != nil || !bytes.Equal(got, []byte("sesame")) {
			t.Errorf("%q, %v", got, err)
		}
	}
	for range 2 {
		if err := v.Drop(t.Context(), "AKIA1"); err != nil {
			t.Error(err)
		}
	}
	if _, err := v.Get(t.Context(), "AKIA1"); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("after it was dropped: %v", err)
	}
}
