package sandbox

import (
	"fmt"
	"testing"
	"time"

	"casemate"
)

func TestEffectsAreBounded(t *testing.T) {
	fx := &effects{}
	for i := range maxEffects + 9 {
		fx.add(casemate.Effect{Target: fmt.Sprint(i)})
	}
	list := fx.take(time.Time{})
	if len(list) != maxEffects+1 || list[maxEffects].Kind != "flood" {
		t.Errorf("%d effects, last %+v", len(list), list[len(list)-1])
	}
	if n := len(fx.take(time.Time{})); n != 0 {
		t.Errorf("%d left", n)
	}
}
