package load

// Progress is told how far a step is, from one goroutine at a time per step. A
// nil Progress is allowed everywhere.
type Progress interface {
	// Total says how much there is to do; it may be said again.
	Total(step string, n int64)
	// Done adds to what was done.
	Done(step string, n int64)
}

// silent is the Progress of those who did not ask.
type silent struct{}

func (silent) Total(string, int64) {}
func (silent) Done(string, int64)  {}

func orSilent(p Progress) Progress {
	if p == nil {
		return silent{}
	}
	return p
}

// Steps that this package reports.
const (
	StepPlan    = "plan"
	StepLoad    = "load"
	StepFold    = "fold"
	StepObserve = "observe"
	StepVerify  = "verify"
	StepLogin   = "login"
)
