package jail

import (
	"context"
	"errors"
)

// Probe builds one empty jail and says which walls held. It takes some 10 ms.
func Probe() Report { return probe(context.Background(), nil) }

func probe(ctx context.Context, broken []string) Report {
	walls := []string{WallNamespaces, WallCgroupNS, WallNet, WallRoot, WallProc, WallNoNewPrivs, WallLandlock, WallCaps,
		WallUID, WallSeccomp, WallNotify, WallMemory, WallPids, WallCPU, WallFreezer}
	why := map[string]string{}
	held := map[string]bool{}
	child, err := Start(ctx, Spec{Argv: []string{"/probe"}, Profile: "node", AllowWeak: true, broken: broken, probe: true})
	otherwise := "not reached"
	if err != nil {
		otherwise = err.Error()
		var we *WallError
		if errors.As(err, &we) {
			for _, m := range we.Missing {
				why[m.Name] = m.Why
			}
		}
	} else {
		for _, name := range child.Walls {
			held[name] = true
		}
		for _, m := range child.weak {
			why[m.Name] = m.Why
		}
		child.Close()
	}
	var report Report
	for _, name := range walls {
		w := Wall{Name: name, Available: held[name]}
		if !w.Available {
			if w.Why, w.Remedy = why[name], remedy(name); w.Why == "" {
				w.Why = otherwise
			}
		}
		report.Walls = append(report.Walls, w)
	}
	return report
}
