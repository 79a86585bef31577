#include "textflag.h"

// func getg() unsafe.Pointer
TEXT ·getg(SB), NOSPLIT, $0-8
	MOVD g, ret+0(FP)
	RET

// func pages() uint32: the size of linear memory
TEXT ·pages(SB), NOSPLIT, $0-4
	CurrentMemory
	I64ExtendI32U
	Set R0
	MOVW R0, ret+0(FP)
	RET
