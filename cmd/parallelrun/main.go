// Command parallelrun migrates organizations from a legacy IAM system to
// Keymate while both stay in service.
//
// This package holds flags, signals and exit codes, one file per command; what
// the commands do lives in the packages of the stages. Start with root.go;
// exit.go says which error ends in which exit code.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	_ "github.com/parallelrun/parallelrun/internal/lazygc" // a lazy collector from the start on
	"github.com/parallelrun/parallelrun/internal/ui"
)

func main() {
	os.Exit(int(run(os.Args[1:], os.Stdout, os.Stderr)))
}

// run is main without the process: it returns the exit code.
func run(args []string, stdout, stderr io.Writer) ui.Code {
	ctx, release := withSignals(context.Background(), stderr)
	defer release()
	return execute(ctx, newApp(stdout, stderr), args)
}

// execute carries out one command line.
func execute(ctx context.Context, a *app, args []string) ui.Code {
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	a.close()
	if err != nil {
		report(a.stderr, err)
	}
	return exitCode(err)
}

// withSignals cancels the context at the first SIGINT or SIGTERM; the second
// one ends the process, since its handler is gone by then.
func withSignals(parent context.Context, stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			fmt.Fprintf(stderr, "%s: stopping after %v; once more stops at once\n", ui.Program, s)
			cancel(&stoppedError{s})
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// stoppedError is the cause of a context that a signal cancelled.
type stoppedError struct{ signal os.Signal }

func (e *stoppedError) Error() string { return fmt.Sprintf("stopped by %v", e.signal) }

func (*stoppedError) Unwrap() error { return context.Canceled }

// Hint says how to go on.
func (*stoppedError) Hint() string {
	return "`parallelrun resume` goes on where a run was stopped; other commands can be started again"
}
