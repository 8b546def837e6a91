package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/term"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
)

// app is what every command shares: the global flags, and what follows from
// them. Commands print data with out, progress with progress(), all else with
// log or notef.
type app struct {
	stdout, stderr io.Writer

	flags struct {
		config   string
		store    string
		json     bool
		memory   config.Size
		workers  int
		logLevel string
	}
	memorySet bool // --memory was given: it wins over the migration's

	out  ui.Printer
	log  *slog.Logger
	prog *ui.Progress

	inside *inside // a command that another one carries out in this process
}

// inside is what a command takes from the one that carries it out: where its
// progress is shown, how wide its text may be, and who looks at its data.
type inside struct {
	progress func() *ui.Progress
	width    int
	seen     func(ui.View)
}

const defaultMemory config.Size = 512 << 20

func newApp(stdout, stderr io.Writer) *app {
	a := &app{stdout: stdout, stderr: stderr, out: ui.NewPrinter(stdout, false, 0)}
	a.log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a.flags.memory = defaultMemory
	return a
}

// prepare applies the global flags, before a command runs.
func (a *app) prepare() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.flags.logLevel)); err != nil {
		return ui.Refusef("use debug, info, warn or error", "--log-level %q is not known", a.flags.logLevel)
	}
	if a.flags.memory < minMemory {
		return ui.Refusef(fmt.Sprintf("give at least %s", minMemory), "--memory %s is too little to work with", a.flags.memory)
	}
	if a.flags.workers < 0 {
		return ui.Refusef("0 means one per core", "--workers %d is less than nothing", a.flags.workers)
	}
	a.log = slog.New(slog.NewTextHandler(logWriter{a}, &slog.HandlerOptions{Level: level}))
	a.out = ui.NewPrinter(a.stdout, a.flags.json, terminalWidth(a.stdout))
	if a.inside != nil { // the process and its memory are the other command's
		a.out = seenPrinter{ui.NewPrinter(a.stdout, a.flags.json, a.inside.width), a.inside.seen}
		return nil
	}
	limitMemory(a.flags.memory)
	return nil
}

const minMemory config.Size = 64 << 20

// outsideGo is about what the process takes beside Go's memory: its own code,
// thread stacks, what the kernel keeps for it.
const outsideGo config.Size = 48 << 20

// limitMemory tells the garbage collector about the limit. What Go does not
// count (the program itself, its threads) gets the rest. Below the limit the
// collector is lazy (see lazygc): memory that was granted is there to be used.
func limitMemory(limit config.Size) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(max(limit/2, limit-max(limit/10, outsideGo))))
	}
}

// memory is the limit that a migration's stages share.
func (a *app) memory(m config.Migration) int64 {
	if m.Memory > 0 && !a.memorySet {
		limitMemory(m.Memory)
		return int64(m.Memory)
	}
	return int64(a.flags.memory)
}

// workers is how many goroutines a stage may keep busy.
func (a *app) workers(m config.Migration) int {
	switch {
	case a.flags.workers > 0:
		return a.flags.workers
	case m.Workers > 0:
		return m.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// notef tells people something that is no data: on stderr.
func (a *app) notef(format string, args ...any) {
	if a.prog != nil {
		a.prog.Note(format, args...)
		return
	}
	fmt.Fprintf(a.stderr, format+"\n", args...)
}

// progress begins to show progress, or goes on doing so.
func (a *app) progress() *ui.Progress {
	if a.prog == nil && a.inside != nil {
		a.prog = a.inside.progress()
	}
	if a.prog == nil {
		a.prog = ui.NewProgress(a.stderr, ui.ProgressOptions{Terminal: isTerminal(a.stderr), Width: terminalWidth(a.stderr)})
	}
	return a.prog
}

// close ends what prepare and progress began.
func (a *app) close() {
	a.prog.Close()
	a.prog = nil
}

// logWriter keeps log lines and the progress line apart.
type logWriter struct{ a *app }

func (w logWriter) Write(b []byte) (int, error) {
	if w.a.prog != nil {
		return w.a.prog.Write(b)
	}
	return w.a.stderr.Write(b)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// terminalWidth is the number of columns of a terminal, zero for anything else.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// seenPrinter shows what it prints to somebody else as well.
type seenPrinter struct {
	ui.Printer
	seen func(ui.View)
}

func (p seenPrinter) Print(v ui.View) error {
	p.seen(v)
	return p.Printer.Print(v)
}
