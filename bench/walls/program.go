package walls

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"casemate/sandbox/jail"
)

// program reads "work rounds" from descriptor 3 and answers with the CPU and wall time that it took, in nanoseconds. Its
// arguments are the file that it reads, one outside of its package, and one that it writes.
const program = `package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"syscall"
	"time"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func cpu() int64 {
	var u syscall.Rusage
	must(syscall.Getrusage(0, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

func main() {
	inside, outside, scratch := os.Args[1], os.Args[2], os.Args[3]
	read, err := syscall.Open(inside, syscall.O_RDONLY, 0)
	must(err)
	write, err := syscall.Open(scratch, syscall.O_CREAT|syscall.O_RDWR, 0o600)
	must(err)
	buf, pages := make([]byte, 4096), make([]byte, 32<<10)
	var st syscall.Stat_t
	open := func(name string) {
		fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		must(err)
		must(syscall.Close(fd))
	}
	pread := func() { _, err := syscall.Pread(read, buf, 0); must(err) }
	pwrite := func() { _, err := syscall.Pwrite(write, buf, 0); must(err) }
	stat := func() { must(syscall.Stat(inside, &st)) }
	works := map[string]func(){
		"cpu": func() { s := sha256.Sum256(buf); for range 63 { s = sha256.Sum256(append(buf[:4000:4000], s[:]...)) } },
		"read": pread, "write": pwrite, "stat": stat, "open": func() { open(inside) },
		// Copying files as io.Copy does: look, open, read and write in pages of 32 KiB, close. Every eighth file is outside of
		// the package. The walls make an open dearer by a third, because Landlock walks up its path, and every call by the
		// 20 to 30 ns that the kernel takes to ask a filter at all.
		"syscalls": func() {
			for i := range 8 {
				stat()
				name := inside
				if i == 7 {
					name = outside
				}
				fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
				must(err)
				for page := range int64(8) {
					_, err = syscall.Pread(fd, pages, page*int64(len(pages)))
					must(err)
					_, err = syscall.Pwrite(write, pages, page*int64(len(pages)))
					must(err)
				}
				must(syscall.Close(fd))
			}
		},
	}
	orders := bufio.NewScanner(os.NewFile(3, "orders"))
	for orders.Scan() {
		var work string
		var rounds int
		fmt.Sscan(orders.Text(), &work, &rounds)
		do := works[work]
		began, used := time.Now(), cpu()
		for range rounds {
			do()
		}
		fmt.Println(cpu()-used, time.Since(began).Nanoseconds())
	}
}
`

// env keeps the Go runtime of the program to one processor, so that its own housekeeping is the same on both sides.
var env = []string{"GOMAXPROCS=1"}

// scratch is a file of a memory file system on both sides.
const scratch = "/dev/shm/casemate-walls"

func startPlain(ctx context.Context, dir string) (*runner, error) {
	in, tell, out, say, err := pipes()
	if err != nil {
		return nil, err
	}
	code := filepath.Join(dir, "code")
	cmd := exec.CommandContext(ctx, filepath.Join(code, "program"), filepath.Join(code, "data"), "/etc/hosts", scratch)
	cmd.Env, cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = env, []*os.File{in}, say, os.Stderr
	err = cmd.Start()
	in.Close()
	say.Close()
	return &runner{tell, bufio.NewReader(out), func() {
		_ = cmd.Wait() // it ends with its orders; how does not matter any more
		out.Close()
		os.Remove(scratch)
	}}, err
}

func startJailed(ctx context.Context, dir string) (*runner, *jail.Child, error) {
	in, tell, out, say, err := pipes()
	if err != nil {
		return nil, nil, err
	}
	child, err := jail.Start(ctx, jail.Spec{
		Argv: []string{"/var/task/program", "/var/task/data", "/etc/hosts", "/tmp/scratch"}, Env: env, Dir: "/var/task", Profile: "provided",
		Mounts: []jail.Mount{{Source: filepath.Join(dir, "code"), Target: "/var/task", Exec: true}},
		Etc:    map[string][]byte{"/etc/hosts": []byte("127.0.0.1 localhost\n")},
		Limits: jail.Limits{MemoryBytes: 256 << 20}, Files: []*os.File{in}, Stdout: say, Stderr: os.Stderr, AllowWeak: true,
		OnCall: func(jail.Call) {},
	})
	in.Close()
	say.Close()
	if err != nil {
		tell.Close()
		out.Close()
		return nil, nil, err
	}
	return &runner{tell, bufio.NewReader(out), func() {
		_ = child.Close() // what it cannot give back is not this measurement's
		out.Close()
	}}, child, nil
}

// pipes are the way to a program and back.
func pipes() (in, tell, out, say *os.File, err error) {
	if in, tell, err = os.Pipe(); err != nil {
		return
	}
	if out, say, err = os.Pipe(); err != nil {
		in.Close()
		tell.Close()
	}
	return
}
