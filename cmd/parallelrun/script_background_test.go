package main

import (
	"os/exec"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// backgroundKey keeps the command that a script started last with exec ... &.
type backgroundKey struct{}

// background is that command, also once the script has waited for it.
type background struct{ cmd *exec.Cmd }

func backgroundOf(ts *testscript.TestScript) *background {
	b := ts.Value(backgroundKey{}).(*background)
	if list := ts.BackgroundCmds(); len(list) > 0 {
		b.cmd = list[len(list)-1]
	}
	if b.cmd == nil {
		ts.Fatalf("nothing was started with exec ... &")
	}
	return b
}

var signals = map[string]syscall.Signal{"stop": syscall.SIGSTOP, "cont": syscall.SIGCONT, "kill": syscall.SIGKILL}

func runSignal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || signals[args[0]] == 0 {
		ts.Fatalf("usage: signal stop|cont|kill")
	}
	p := backgroundOf(ts).cmd.Process
	if args[0] == "stop" { // a script that fails would wait for it
		ts.Defer(func() { _ = p.Signal(syscall.SIGCONT) })
	}
	ts.Check(p.Signal(signals[args[0]]))
}

func runExited(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: exited N")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	state := backgroundOf(ts).cmd.ProcessState
	if state == nil {
		ts.Fatalf("it runs: wait for it first")
	}
	if got := state.ExitCode(); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
