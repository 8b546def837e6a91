package load

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

// Work counts operations by table, then kind.
type Work map[string]map[Kind]int64

func (w Work) add(table string, kind Kind, n int64) {
	if w[table] == nil {
		w[table] = map[Kind]int64{}
	}
	w[table][kind] += n
}

// Pace is how fast a load carried out the operations of one kind.
type Pace struct {
	Table string `json:"table"`
	Kind  Kind   `json:"kind"`
	// Operations that were confirmed.
	Operations int64 `json:"operations"`
	// Seconds of the load that they took. Of kinds that ran side by side each
	// has a share by the time that its requests were in flight: all shares
	// together are the load's time, waits included.
	Seconds float64 `json:"seconds"`
}

// workKind is what a request is for.
type workKind struct {
	table string
	kind  Kind
}

// looking is the kind of requests that read rows back: their time is part of
// what the operations took that they were sent for.
var looking = workKind{kind: "look"}

func (k workKind) String() string { return string(k.kind) + " " + k.table }

// paceMeter measures one call of Load. It is safe for concurrent use.
type paceMeter struct {
	mu sync.Mutex
	// of the section under way
	flown map[workKind]time.Duration
	done  map[workKind]int64
	// of all sections so far
	total   map[workKind]Pace
	airtime time.Duration
	elapsed time.Duration
}

// flew notes that a request was in flight for so long.
func (m *paceMeter) flew(k workKind, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.airtime += d
	if k == looking {
		return
	}
	if m.flown == nil {
		m.flown = map[workKind]time.Duration{}
	}
	m.flown[k] += d
}

// did notes the outcome of an operation.
func (m *paceMeter) did(table string, kind Kind, r OutcomeResult) {
	if r != OutcomeDone {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done == nil {
		m.done = map[workKind]int64{}
	}
	m.done[workKind{table, kind}]++
}

// section ends a section that took so long: its kinds share its time.
func (m *paceMeter) section(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.elapsed += took
	var all time.Duration
	for k := range m.done {
		all += m.flown[k]
	}
	for k, n := range m.done {
		if all == 0 {
			break // everything was found done
		}
		if m.total == nil {
			m.total = map[workKind]Pace{}
		}
		p := m.total[k]
		p.Table, p.Kind, p.Operations = k.table, k.kind, p.Operations+n
		p.Seconds += took.Seconds() * float64(m.flown[k]) / float64(all)
		m.total[k] = p
	}
	m.flown, m.done = nil, nil
}

// paces lists what was measured, in load order.
func (m *paceMeter) paces() []Pace {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.total), func(a, b Pace) int {
		rank := func(p Pace) int { return slices.Index(schemas.LoadOrder, p.Table) }
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Kind, b.Kind))
	})
}

// flying is how many requests were in flight on average.
func (m *paceMeter) flying() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.elapsed <= 0 {
		return 0
	}
	return m.airtime.Seconds() / m.elapsed.Seconds()
}
