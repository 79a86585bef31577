package main

import (
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"casemate"
	"casemate/node"
)

func TestConnectionFlags(t *testing.T) {
	read := func(args ...string) (node.Config, error) {
		var f connFlags
		var cfg node.Config
		fl := pflag.NewFlagSet("up", pflag.ContinueOnError)
		f.add(fl)
		if err := fl.Parse(args); err != nil {
			return cfg, asUsage(err, &cobra.Command{})
		}
		return cfg, f.read(&cfg)
	}
	c, err := read("--connections", "9", "--stream-resets", "1/s burst 3", "--body-time", "3s")
	if l := c.Front; err != nil || l.Conn.Total != 9 || l.Conn.Resets != (casemate.Rate{PerSecond: 1, Burst: 3}) || l.Conn.Idle != (casemate.Rate{PerSecond: 200, Burst: 2000}) ||
		l.BodyTime != 3*time.Second || l.Conn.FrameTime != 3*time.Second || l.HeaderTime != 5*time.Second {
		t.Errorf("%+v, %v", l, err)
	}
	for flag, bad := range map[string]string{"connections": "0", "source-connections": "-1", "network-connections": "-1", "streams": "0", "slowest": "0", "connection-rate": "many",
		"stream-resets": "0/s", "idle-frames": "", "header-time": "0s", "body-time": "-1s", "answer-time": "0s", "idle-time": "0s", "answer-rate": "0", "answer-burst": "-1"} {
		if _, err := read("--"+flag, bad); casemate.CodeOf(err) != casemate.Invalid || casemate.AsError(err).Field != "--"+flag {
			t.Errorf("--%s %s: %v", flag, bad, err)
		}
	}
}
