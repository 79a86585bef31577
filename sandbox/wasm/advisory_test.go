package wasm

import "testing"

// Wasmtime CVE-2026-34971, CVE-2026-34941 and CVE-2026-27195: what breaks an engine takes its host along. Here the engine is in a
// worker of its own, whose end is one failed request.
func TestCVE_2026_34971_CrashIsOneFailedRequest(t *testing.T) { TestCrashIsOneFailedRequest(t) }
