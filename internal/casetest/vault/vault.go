// Package vault has a vault for tests that keeps in memory what it is given, and shows it.
package vault

import (
	"bytes"
	"context"
	"sync"

	"casemate"
)

// Memory does as secret.Vault does. Make it with New.
type Memory struct {
	mu   sync.Mutex
	Held map[string][]byte // in the clear; to be read while nobody writes
}

// New makes an empty one.
func New() *Memory { return &Memory{Held: map[string][]byte{}} }

// Put keeps a value under a name. One that is there already is a Conflict.
func (m *Memory) Put(_ context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.Held[name]; ok {
		return casemate.Errorf(casemate.Conflict, "", "%s is there", name)
	}
	m.Held[name] = bytes.Clone(value)
	return nil
}

// Get gives a value; one that is not there is NotFound.
func (m *Memory) Get(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.Held[name]; ok {
		return bytes.Clone(v), nil
	}
	return nil, casemate.Errorf(casemate.NotFound, "", "there is no %s", name)
}

// Drop removes a value. One that is not there is no error.
func (m *Memory) Drop(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.Held, name)
	return nil
}
