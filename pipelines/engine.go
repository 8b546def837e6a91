package pipelines

import "context"

// Engine executes the steps of a run. A pipeline is a Go function over it, so
// that the same function runs in process (Local) and on many machines. Results
// are small JSON values (digests, counts), never rows.
type Engine interface {
	// Do runs a step unless its result is journaled already, and decodes the
	// result into out. A step may run more than once when a run is resumed; it
	// must then come to the same result.
	Do(ctx context.Context, step Step, out any) error
	// Map runs a step's parts, several at once, each journaled on its own.
	Map(ctx context.Context, step string, parts []Step) error
}

// Step is a named piece of work. Name is unique within a run and tells a
// reader of the journal what was done.
type Step struct {
	Name string
	Run  func(ctx context.Context) (result any, err error)
}
