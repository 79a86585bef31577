package stage

const sysSeccomp = 317 // arch/x86/entry/syscalls/syscall_64.tbl
