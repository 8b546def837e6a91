package ui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress shows steps that take time: on a terminal one line that changes in
// place, elsewhere a plain line every few seconds and one at each step's end.
// It is safe for concurrent use. A nil Progress shows nothing.
type Progress struct {
	mu       sync.Mutex
	w        io.Writer
	notes    io.Writer
	terminal bool
	fleeting bool
	width    int
	quiet    time.Duration // between lines
	now      func() time.Time
	last     time.Time
	shown    bool // a line is on the screen that must be cleared
	current  *Step
	stop     chan struct{}
	once     sync.Once // of closing stop
	done     sync.WaitGroup
}

// ProgressOptions say where progress is shown.
type ProgressOptions struct {
	Terminal bool
	Width    int              // columns of the terminal; zero: 80
	Every    time.Duration    // zero: 200 ms on a terminal, else 5 s
	Now      func() time.Time // nil: time.Now
	// Fleeting leaves nothing behind: no line at a step's end, and none at all
	// where there is no terminal.
	Fleeting bool
	// Notes takes what is written beside the progress; nil: its own writer.
	Notes io.Writer
}

// NewProgress begins to show progress on w. Close it.
func NewProgress(w io.Writer, o ProgressOptions) *Progress {
	p := &Progress{w: w, notes: o.Notes, terminal: o.Terminal, fleeting: o.Fleeting, width: o.Width, quiet: o.Every, now: o.Now, stop: make(chan struct{})}
	if p.width <= 0 {
		p.width = 80
	}
	if p.quiet <= 0 {
		p.quiet = 5 * time.Second
		if p.terminal {
			p.quiet = 200 * time.Millisecond
		}
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.notes == nil {
		p.notes = w
	}
	p.last = p.now()
	p.done.Go(p.tick)
	return p
}

// tick keeps the line moving while a step waits.
func (p *Progress) tick() {
	t := time.NewTicker(p.quiet)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.mu.Lock()
			p.show(false)
			p.mu.Unlock()
		}
	}
}

// Close ends the display; a step still open keeps its last line. It may be
// called again.
func (p *Progress) Close() {
	if p == nil {
		return
	}
	p.once.Do(func() { close(p.stop) })
	p.done.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// Step begins a step. Total is what there is to do, zero if nobody knows; unit
// is what is counted, such as "rows".
func (p *Progress) Step(name string, total int64, unit string) *Step {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &Step{p: p, name: name, unit: unit, total: total, begin: p.now()}
	p.current = s
	if p.terminal {
		p.show(true)
	}
	return s
}

// Note writes a line of its own, above the one that changes.
func (p *Progress) Note(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.notes, format+"\n", args...)
	if p.terminal {
		p.show(true)
	}
}

// Write lets a logger share the screen: its lines stand above the one that
// changes.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	return p.notes.Write(b)
}

// Step is one piece of work in progress. A nil Step counts nothing.
type Step struct {
	p     *Progress
	name  string
	unit  string
	total int64
	count int64
	begin time.Time
	ended bool
}

// Add counts n more as done.
func (s *Step) Add(n int64) {
	if s == nil {
		return
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.count += n
	s.p.show(false)
}

// Set says how much is done, and of how much; a total of zero keeps the old.
func (s *Step) Set(count, total int64) {
	if s == nil {
		return
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.count = count
	if total > 0 {
		s.total = total
	}
	s.p.show(false)
}

// End finishes the step and leaves a line that says how it went.
func (s *Step) End() {
	if s == nil {
		return
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	if s.p.current == s {
		s.p.current = nil
	}
	s.p.clear()
	if !s.p.fleeting {
		fmt.Fprintln(s.p.w, s.summary(s.p.now()))
	}
	s.p.last = s.p.now()
}

// show writes the current step's line if it is time. The caller holds mu.
func (p *Progress) show(force bool) {
	now := p.now()
	if p.current == nil || p.fleeting && !p.terminal || !force && now.Sub(p.last) < p.quiet {
		return
	}
	p.last = now
	line := p.current.line(now)
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", shorten(line, p.width-1))
	p.shown = true
}

func (p *Progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

func (s *Step) line(now time.Time) string {
	elapsed := now.Sub(s.begin)
	parts := []string{s.counted()}
	if s.count > 0 {
		parts = append(parts, Rate(s.count, elapsed))
	}
	if left := s.left(elapsed); left > 0 {
		parts = append(parts, Elapsed(left)+" left")
	} else {
		parts = append(parts, Elapsed(elapsed))
	}
	return s.name + ": " + strings.Join(parts, ", ")
}

func (s *Step) counted() string {
	switch {
	case s.total > 0:
		return fmt.Sprintf("%s/%s %s (%s)", Count(s.count), Count(s.total), s.unit, Percent(s.count, s.total))
	case s.count > 0:
		return Count(s.count) + " " + s.unit
	}
	return "working"
}

// left estimates the time to the end from the rate so far.
func (s *Step) left(elapsed time.Duration) time.Duration {
	if s.total <= s.count || s.count <= 0 || elapsed < time.Second {
		return 0
	}
	return time.Duration(float64(elapsed) * float64(s.total-s.count) / float64(s.count))
}

func (s *Step) summary(now time.Time) string {
	elapsed := now.Sub(s.begin)
	if s.count == 0 {
		return fmt.Sprintf("%s: done in %s", s.name, Elapsed(elapsed))
	}
	return fmt.Sprintf("%s: %s %s in %s (%s)", s.name, Count(s.count), s.unit, Elapsed(elapsed), Rate(s.count, elapsed))
}
