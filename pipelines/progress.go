package pipelines

import (
	"sync"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
)

// stepProgress shows package load's progress: one step at a time.
type stepProgress struct {
	ui *ui.Progress

	mu    sync.Mutex
	name  string
	step  *ui.Step
	done  int64
	total int64
}

var _ load.Progress = (*stepProgress)(nil)

// Total implements load.Progress.
func (p *stepProgress) Total(step string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enter(step)
	p.total = n
	p.step.Set(p.done, p.total)
}

// Done implements load.Progress.
func (p *stepProgress) Done(step string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enter(step)
	p.done += n
	p.step.Set(p.done, p.total)
}

// enter begins a step unless it is under way. The caller holds mu.
func (p *stepProgress) enter(name string) {
	if name == p.name {
		return
	}
	p.step.End()
	p.name, p.done, p.total = name, 0, 0
	p.step = p.ui.Step(name, 0, "rows")
}

// end finishes the step under way.
func (p *stepProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step.End()
	p.name, p.step = "", nil
}
