package load

import (
	"math"
	"slices"
	"syscall"
	"time"
)

// Figure holds medians over repetitions. Ratios compare parts of one repetition, in the order floor, subject, subject, floor.
type Figure struct {
	Floor   float64 `json:"floor"` // in the unit of what was measured
	Subject float64 `json:"subject"`
	Ratio   float64 `json:"ratio"` // median of the repetitions' ratios
	Min     float64 `json:"ratio_min"`
	Max     float64 `json:"ratio_max"`
	Control float64 `json:"control"` // the floor against itself in the same run
	Noisy   bool    `json:"noisy"`   // the control says that Ratio says nothing
}

// ABBA reads repetitions of floor, subject, subject, floor. There must be at least one.
func ABBA(reps [][4]float64) Figure {
	var floors, subjects, ratios, controls []float64
	for _, r := range reps {
		floors = append(floors, (r[0]+r[3])/2)
		subjects = append(subjects, (r[1]+r[2])/2)
		ratios = append(ratios, (r[1]+r[2])/(r[0]+r[3]))
		controls = append(controls, r[3]/r[0])
	}
	ratio, control := Median(ratios), Median(controls).Median
	return Figure{Floor: Median(floors).Median, Subject: Median(subjects).Median, Ratio: ratio.Median, Min: ratio.Min, Max: ratio.Max,
		Control: control, Noisy: Noisy(control)}
}

// Noisy reports whether a control, a floor against itself, is outside of 0.85..1.18, or no number.
func Noisy(control float64) bool { return math.IsNaN(control) || control < 0.85 || control > 1.18 }

// Median gives the middle of some figures, the mean of the two in the middle of an even number, with their spread. There must
// be at least one.
func Median(v []float64) Ratio {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return Ratio{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

// OwnCPU is what this process itself has used.
func OwnCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
