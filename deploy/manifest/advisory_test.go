package manifest

import (
	"strings"
	"testing"
)

// Fission GHSA-wmgg-3p4h-48x7, GHSA-v455-mv2v-5g92, GHSA-m63v-2g9w-2w6v (CVE-2026-50563) and GHSA-gx55-f84r-v3r7: settings of the
// isolation were passed through to the cluster. Here there is no key that they could be passed by.
func TestGHSA_wmgg_3p4h_48x7_NoSettingOfTheIsolationPasses(t *testing.T) {
	with := func(line string) string {
		return "app: a\nfunctions:\n  f:\n    runtime: wasm\n    code: f.wasm\n    " + line + "\n"
	}
	if _, err := Parse(File, []byte(with("timeout: 3s")), setting()); err != nil {
		t.Fatal("without them:", err)
	}
	for _, line := range []string{
		"privileged: on", "hostPID: on", "host_network: on", "hostIPC: on", "securityContext: {privileged: on}", "security_context: {runAsUser: 0}", "capabilities: [SYS_ADMIN]",
		"volumes: [/:/host]", "mounts: [/]", "devices: [/dev/kvm]", "podspec: {hostPID: on}", "runtime_class: none", "seccomp: unconfined", "apparmor: unconfined", "user: root", "uid: 0",
		"namespace: host", "cgroup: host", "service_account: default", "image: evil", "init_containers: []", "sysctls: {}", "walls: off", "jail: off", "landlock: off",
	} {
		_, err := Parse(File, []byte(with(line)), setting())
		if key, _, _ := strings.Cut(line, ":"); err == nil || !strings.Contains(err.Error(), `no key "`+key+`"`) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// Knative #12466 and its defaults: a maximum of zero meant none. Here a limit of zero is an error, or stops.
func TestKnative_12466_ZeroIsNoLimitThatIsNone(t *testing.T) {
	for _, line := range []string{"timeout: 0s", "memory: 0MB", "concurrency: 0", "rate: 0/s", "max_body: 0KB", "quota: {day: 0}", "quota: {month: 0}", "tmp: 0MB", "lifetime: 0s",
		"timeout: -1s", "memory: -1MB", "concurrency: -1", "rate: -1/s", "quota: {day: -1}", "concurrency: 99999999999999999999", "timeout: 99999999h"} {
		m, err := Parse(File, []byte("app: a\nfunctions:\n  f:\n    runtime: provided.al2023\n    code: f\n    "+line+"\n"), setting())
		if err == nil {
			t.Errorf("%s is taken: %+v", line, m.Functions["f"])
		}
	}
}

// Denial of wallet by what a budget says: below zero, beyond all numbers, or nothing that is an amount. Zero is one: it stops.
func TestBudgetsThatAreNone(t *testing.T) {
	for _, amount := range []string{"-1", "1e9", "NaN", "Inf", "0x10", "99999999999999999999999", "1,000", "1.0000000001", "", "unlimited", " 1"} {
		m, err := Parse(File, []byte(head+"budgets:\n  - {for: app, amount: \""+amount+"\", per: day}\n"), setting())
		if err == nil {
			t.Errorf("%q is taken: %+v", amount, m.Budgets)
		}
	}
}
