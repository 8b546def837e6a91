// Package pace bounds how many requests are in flight at once, by what the
// server's answers tell: a little more while they come as fast as they used to,
// much less when it is busy. It starts from what the dialect recommends and
// finds the server's knee from there.
//
// Nouns: the window is how many requests may be in flight; a slot is one of
// them; a kind names requests that take about equally long, so that a slow kind
// is not taken for a slow server.
//
// Start with New, then Acquire.
package pace

import (
	"context"
	"sync"
	"time"
)

// Options of a Pacer.
type Options struct {
	// Start is the first window; zero: 1.
	Start int
	// Max is the largest; zero: twice Start.
	Max int
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Signal is what an answer says about the server.
type Signal int

// The signals.
const (
	OK      Signal = iota // it answered; how fast decides
	Busy                  // it asks for less, or gives no answer
	Neutral               // it says nothing about load
)

const (
	slowFactor = 2.5     // times the usual latency that count as slow
	slowCut    = 0.85    // of the window stays when slow
	busyCut    = 0.5     // and when busy
	drift      = 1.00005 // by which the usual latency may rise with each answer
)

// Pacer is safe for concurrent use.
type Pacer struct {
	now func() time.Time
	max float64

	mu     sync.Mutex
	window float64
	flying int
	usual  map[string]time.Duration // by kind: about the fastest seen lately
	calm   int                      // answers to wait for before the next cut
	queue  []chan struct{}
}

// New returns a pacer.
func New(o Options) *Pacer {
	start := max(1, o.Start)
	if o.Max <= 0 {
		o.Max = 2 * start
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Pacer{now: o.Now, max: float64(o.Max), window: float64(min(start, o.Max)), usual: map[string]time.Duration{}}
}

// Window is how many requests may be in flight now.
func (p *Pacer) Window() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.window)
}

// Max is the largest window.
func (p *Pacer) Max() int { return int(p.max) }

// Slot is the right to have one request in flight.
type Slot struct {
	p     *Pacer
	kind  string
	begun time.Time
}

// Acquire waits for a slot, first come first served. The caller releases it.
func (p *Pacer) Acquire(ctx context.Context, kind string) (*Slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	if len(p.queue) == 0 && p.flying < int(p.window) {
		p.flying++
		p.mu.Unlock()
		return &Slot{p: p, kind: kind, begun: p.now()}, nil
	}
	turn := make(chan struct{})
	p.queue = append(p.queue, turn)
	p.mu.Unlock()
	select {
	case <-turn:
		return &Slot{p: p, kind: kind, begun: p.now()}, nil
	case <-ctx.Done():
		p.leave(turn)
		return nil, ctx.Err()
	}
}

// leave gives up waiting; a turn that came meanwhile goes to the next.
func (p *Pacer) leave(turn chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, q := range p.queue {
		if q == turn {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			return
		}
	}
	p.flying--
	p.admit()
}

// Release gives the slot back with what the answer said.
func (s *Slot) Release(sig Signal) {
	p := s.p
	took := p.now().Sub(s.begun)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flying--
	p.learn(s.kind, took, sig)
	p.admit()
}

func (p *Pacer) admit() {
	for len(p.queue) > 0 && p.flying < int(p.window) {
		p.flying++
		close(p.queue[0])
		p.queue = p.queue[1:]
	}
}

// learn moves the window. It is cut at most once per window of answers, so
// that one bad moment, seen by many requests, counts once.
func (p *Pacer) learn(kind string, took time.Duration, sig Signal) {
	p.calm = max(0, p.calm-1)
	switch {
	case sig == Neutral:
	case sig == Busy:
		p.cut(busyCut)
	case p.slow(kind, took):
		p.cut(slowCut)
	case p.flying+1 >= int(p.window): // only a window that is used may grow
		p.window = min(p.max, p.window+1/p.window)
	}
}

func (p *Pacer) cut(to float64) {
	if p.calm > 0 {
		return
	}
	p.calm = int(p.window) + 1
	p.window = max(1, p.window*to)
}

func (p *Pacer) slow(kind string, took time.Duration) bool {
	usual, known := p.usual[kind]
	if !known || took < usual {
		p.usual[kind] = took
		return false
	}
	p.usual[kind] = time.Duration(float64(usual)*drift) + 1
	return float64(took) > slowFactor*float64(usual) && took > 50*time.Millisecond
}
