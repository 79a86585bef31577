package stage

const sysSeccomp = 277 // asm-generic/unistd.h
