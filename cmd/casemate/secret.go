package main

import (
	"errors"
	"fmt"
	"syscall"

	"casemate/secret/kek"
)

// secretKeys reads the key-encryption keys that were given. It comes before anything else of a node: no child that is
// started later inherits the variable or the descriptor that held one. From here on no core file is written, for it would
// hold what the process knows.
func secretKeys(handles []string) (keys []*kek.Key, err error) {
	var core syscall.Rlimit
	err = syscall.Getrlimit(syscall.RLIMIT_CORE, &core)
	core.Max = min(core.Max, 1) // 1, not 0: the value that also keeps the host's core_pattern program from being run (core(5))
	core.Cur = core.Max
	if err := errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_CORE, &core)); err != nil {
		return nil, fmt.Errorf("forbidding core files: %w", err)
	}
	for _, handle := range handles {
		k, err := kek.Read(handle)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}
