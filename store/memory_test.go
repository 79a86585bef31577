package store_test

import (
	"testing"
	"time"

	"casemate/internal/casetest/storetest"
	"casemate/store"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, storetest.Maker{
		Open: func(_ *testing.T, clock func() time.Time) store.Store { return store.Memory(clock) },
	})
}
