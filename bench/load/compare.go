package load

import (
	"context"
	"time"
)

// Ratio is a median over repetitions with its spread.
type Ratio struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Comparison is a subject against a floor, measured in the order floor, subject, subject, floor in every repetition.
type Comparison struct {
	E          Ratio   `json:"e"`       // the floor's CPU of a request over the subject's
	R          Ratio   `json:"r"`       // the subject's requests a second over the floor's
	Control    Ratio   `json:"control"` // the floor's CPU against itself; outside 0.85..1.18 nothing here says anything
	FloorCPU   float64 `json:"floor_cpu_us"`
	SubjectCPU float64 `json:"subject_cpu_us"`
	SubjectOwn float64 `json:"subject_own_us"` // of it, the subject's process without its children
	Noisy      bool    `json:"noisy"`
}

// Compare measures both, reps times, each of a repetition's four parts lasting d.
func Compare(ctx context.Context, floor, subject Target, conns, reps int, d time.Duration) (Comparison, error) {
	var e, r, control, floors, subjects, owns []float64
	for range reps {
		var cpu, rate, own [4]float64
		for i, t := range []Target{floor, subject, subject, floor} {
			run, err := Drive(ctx, t, conns, d, false)
			if err != nil {
				return Comparison{}, err
			}
			cpu[i], rate[i] = run.PerRequest(), run.Rate()
			own[i] = float64(run.Own.Microseconds()) / float64(max(run.Requests, 1))
		}
		e = append(e, (cpu[0]+cpu[3])/(cpu[1]+cpu[2]))
		r = append(r, (rate[1]+rate[2])/(rate[0]+rate[3]))
		control = append(control, cpu[0]/cpu[3])
		floors = append(floors, (cpu[0]+cpu[3])/2)
		subjects = append(subjects, (cpu[1]+cpu[2])/2)
		owns = append(owns, (own[1]+own[2])/2)
	}
	c := Comparison{E: Median(e), R: Median(r), Control: Median(control), FloorCPU: Median(floors).Median, SubjectCPU: Median(subjects).Median, SubjectOwn: Median(owns).Median}
	c.Noisy = Noisy(c.Control.Median)
	return c, nil
}
