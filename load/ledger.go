package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// OutcomeResult is how an operation ended.
type OutcomeResult string

// The results. An operation without an outcome was not sent, or nobody knows.
const (
	OutcomeDone    OutcomeResult = "done"
	OutcomeFailed  OutcomeResult = "failed"
	OutcomeUnknown OutcomeResult = "unknown" // looked for, and still not known: the next resume looks again
)

// Outcome is one entry of the ledger. It holds no secret and no personal data.
type Outcome struct {
	Seq      int64         `json:"seq"`
	Table    string        `json:"table"`
	ID       schemas.RowID `json:"id"`
	Key      string        `json:"key,omitempty"`
	Result   OutcomeResult `json:"result"`
	Class    ErrorClass    `json:"class,omitempty"`
	TargetID string        `json:"target_id,omitempty"`
	Attempts int           `json:"attempts,omitempty"`
	Message  string        `json:"message,omitempty"`
	At       time.Time     `json:"at"`
}

// state of an operation in memory, one byte each.
const (
	stateNone byte = iota
	stateDone
	stateFailed
	stateUnknown
)

func stateOf(r OutcomeResult) byte {
	switch r {
	case OutcomeDone:
		return stateDone
	case OutcomeFailed:
		return stateFailed
	case OutcomeUnknown:
		return stateUnknown
	}
	return stateNone
}

// Ledger holds the outcome of every operation of one plan: in a local log,
// synced in groups, and shipped to the store in segments. What a crash loses of
// the log is looked up in the target. It is safe for concurrent use.
type Ledger struct {
	plan     *Manifest
	log      *frameLog
	segments *segments

	mu       sync.Mutex
	states   []byte // by sequence number
	shipped  []byte
	targets  map[int64]string // of rows whose id the target chose
	unsent   []Outcome
	failures []Outcome // the first ones
	reasons  map[string]int64
}

// keptFailures is how many failed outcomes are kept in memory for reports; the
// segments hold all.
const keptFailures = 1000

// OpenLedger opens the ledger of a plan: it reads the segments that were
// shipped and the local log, if there is one, and goes on where they end. Dir
// is a local directory.
func OpenLedger(ctx context.Context, dir string, files Files, plan *Manifest) (*Ledger, error) {
	l, err := readLedger(ctx, files, plan)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger of run %s: %w (choose a local directory that can be written)", plan.Run, err)
	}
	path := filepath.Join(dir, plan.Run+".ledger")
	l.log, err = openFrameLog(path, ledgerHeader(plan), func(data []byte) error {
		var o Outcome
		if err := json.Unmarshal(data, &o); err != nil {
			return fmt.Errorf("ledger %s: %w", path, err)
		}
		l.note(o)
		return nil
	})
	return l, err
}

// ReadLedger reads what was shipped of a plan's outcomes, for reports and folds
// on any machine. It can't record.
func ReadLedger(ctx context.Context, files Files, plan *Manifest) (*Ledger, error) {
	return readLedger(ctx, files, plan)
}

func readLedger(ctx context.Context, files Files, plan *Manifest) (*Ledger, error) {
	n := plan.Operations + 1
	l := &Ledger{plan: plan, states: make([]byte, n), shipped: make([]byte, n), targets: map[int64]string{}, reasons: map[string]int64{}}
	l.segments = &segments{files: files, run: plan.Run}
	err := l.segments.read(ctx, func(o Outcome) {
		l.note(o)
		if l.valid(o) {
			l.shipped[o.Seq] = stateOf(o.Result)
		}
	})
	l.unsent = nil
	if err != nil {
		return nil, fmt.Errorf("ledger of run %s: %w", plan.Run, err)
	}
	return l, nil
}

func ledgerHeader(plan *Manifest) []byte {
	data, _ := json.Marshal(struct {
		Version int              `json:"version"`
		Run     string           `json:"run"`
		Plan    snapshots.Digest `json:"plan"`
	}{1, plan.Run, plan.Digest})
	return data
}

func (l *Ledger) valid(o Outcome) bool { return o.Seq > 0 && o.Seq < int64(len(l.states)) }

// note takes an outcome into memory.
func (l *Ledger) note(o Outcome) {
	if !l.valid(o) {
		return
	}
	state := stateOf(o.Result)
	news := l.states[o.Seq] != state
	l.states[o.Seq] = state
	if l.shipped[o.Seq] != state {
		l.unsent = append(l.unsent, o)
	}
	if o.TargetID != "" {
		l.targets[o.Seq] = o.TargetID
	}
	if news && (state == stateFailed || state == stateUnknown) {
		l.reasons[o.Message]++
		if len(l.failures) < keptFailures {
			l.failures = append(l.failures, o)
		}
	}
}

// Record appends an outcome. It is durable after the next Sync, or shortly by
// itself.
func (l *Ledger) Record(o Outcome) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := l.log.append(data); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(o)
	return nil
}

// Sync waits until every recorded outcome is on disk.
func (l *Ledger) Sync() error { return l.log.sync() }

// Ship stores what was recorded since the last call as a segment.
func (l *Ledger) Ship(ctx context.Context) error {
	l.mu.Lock()
	batch := l.unsent
	l.unsent = nil
	l.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if err := l.segments.write(ctx, batch); err != nil {
		l.mu.Lock()
		l.unsent = append(batch, l.unsent...)
		l.mu.Unlock()
		return fmt.Errorf("ledger of run %s: %w", l.plan.Run, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range batch {
		l.shipped[o.Seq] = stateOf(o.Result)
	}
	return nil
}

// Unshipped is how many outcomes are not in the store yet.
func (l *Ledger) Unshipped() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.unsent)
}

// Close ships what is left and closes the log.
func (l *Ledger) Close(ctx context.Context) error {
	if l.log == nil {
		return nil
	}
	return errors.Join(l.Sync(), l.Ship(ctx), l.log.close())
}

// Result returns the outcome of an operation; ok is false if there is none. An
// operation that another one carries shares its outcome.
func (l *Ledger) Result(op *Operation) (r OutcomeResult, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := op.Seq
	if op.With != 0 {
		seq = op.With
	}
	switch l.states[seq] {
	case stateDone:
		return OutcomeDone, true
	case stateFailed:
		return OutcomeFailed, true
	case stateUnknown:
		return OutcomeUnknown, true
	}
	return "", false
}

// TargetID is the id that the target chose for the row of an operation.
func (l *Ledger) TargetID(seq int64) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.targets[seq]
	return id, ok
}

// Failures returns the first failed outcomes, and how often each message was
// recorded.
func (l *Ledger) Failures() (first []Outcome, messages map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	messages = map[string]int64{}
	for m, n := range l.reasons {
		messages[m] = n
	}
	return append([]Outcome(nil), l.failures...), messages
}

// FinalCounts is the equation after a load: the rows that needed no operation,
// as planned, and those that did, by the ledger.
func FinalCounts(ctx context.Context, files Files, plan *Manifest, l *Ledger) (Counts, error) {
	counts := plan.Settled.clone()
	for table, e := range plan.Counts {
		c := counts.of(table)
		c.Yielded, c.Gone, c.Kept = e.Yielded, e.Gone, e.Kept
	}
	for op, err := range plan.AllOperations(ctx, files) {
		if err != nil {
			return nil, err
		}
		if op.Kind == Park { // the row's last operation counts
			continue
		}
		class := InDoubt
		switch r, _ := l.Result(&op); r {
		case OutcomeDone:
			class = op.Class()
		case OutcomeFailed:
			class = Failed
		}
		counts.of(op.Table).add(class, 1)
	}
	return counts, counts.Check()
}
