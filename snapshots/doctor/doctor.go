// Package doctor proves that a place keeps what a store builds on, before a
// migration depends on it: many servers speak S3's protocol and not all of them
// keep its promises.
//
// Nouns: a Probe is one promise, put to the test; a Report is all of them. The
// objects of the probes lie under doctor/ and stay: a store's identity may need
// no right to delete.
//
// Start with Run.
package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/snapshots"
)

// Options say what is probed, and how hard.
type Options struct {
	// Open opens the place once more, as another process would.
	Open func(context.Context) (snapshots.Backend, error)
	// Rounds is how often writers race; zero: 10.
	Rounds int
	// Progress is told of each probe before it begins; may be nil.
	Progress func(name string)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Result is what became of a probe.
type Result string

// The results of a probe.
const (
	Held      Result = "held"
	Broken    Result = "broken"
	NotTested Result = "not tested"
)

// Probe is one promise and what the place made of it.
type Probe struct {
	Name    string `json:"name"`
	Promise string `json:"promise"`
	Result  Result `json:"result"`
	What    string `json:"what,omitempty"` // what was seen, or why it was not tested
	Next    string `json:"hint,omitempty"`
}

// Report is what Run saw.
type Report struct {
	Location string  `json:"location"`
	Prefix   string  `json:"prefix"`  // of the probes' objects
	Objects  int64   `json:"objects"` // written, about
	Probes   []Probe `json:"probes"`
}

// Broken are the probes that found a promise broken.
func (r *Report) Broken() (broken []Probe) {
	for _, p := range r.Probes {
		if p.Result == Broken {
			broken = append(broken, p)
		}
	}
	return broken
}

// brokenError is what a probe returns of a promise that was not kept; other
// errors end the examination.
type brokenError struct{ what string }

func (e *brokenError) Error() string { return e.what }

func brokenf(format string, args ...any) error { return &brokenError{fmt.Sprintf(format, args...)} }

// errNotTested, wrapped with a reason: the place has nothing to probe there.
var errNotTested = errors.New("not tested")

// probes in the order in which they run.
var probes = []struct {
	name, promise, next string
	run                 func(*examination, context.Context) error
}{
	{"round trip", "what was written is read back, whole and in ranges", otherStore, (*examination).roundTrip},
	{"create only", "a key that has an object takes no other", otherStore, (*examination).createOnly},
	{"racing writers", "of writers that race for a key exactly one wins, and knows it", otherStore, (*examination).race},
	{"read after write", "an object is seen as soon as it is written, also by who asked for it before", noCache, (*examination).readAfterWrite},
	{"list consistency", "a list holds every object written before, in byte order, page after page", noCache, (*examination).lists},
	{"checksum refused", "bytes that were damaged on the way are refused", setChecksums, (*examination).damaged},
}

const (
	otherStore   = "keep the store in a directory or on another server: commits are not safe here (docs/store.md names servers that pass)"
	noCache      = "take caches and replicas out of the way to the bucket, or use another server: a reader would miss commits"
	setChecksums = "set s3.checksums to when_supported, or use another server: damage would be found by verify, after the fact"
)

// examination is one run of all probes.
type examination struct {
	o      Options
	prefix string
	b      snapshots.Backend
	others []snapshots.Backend
	report *Report
}

// clients is how many ways to the place there are beside the first.
const clients = 3

// Run probes a place. The error is about what could not be asked at all;
// broken promises are in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Rounds <= 0 {
		o.Rounds = 10
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := Report{}
	x := &examination{o: o, report: &r}
	for range clients + 1 {
		b, err := o.Open(ctx)
		if err != nil {
			return r, err
		}
		x.others = append(x.others, b)
	}
	x.b, x.others = x.others[0], x.others[1:]
	r.Location = x.b.Location()
	r.Prefix = snapshots.DoctorPrefix + o.Now().UTC().Format("20060102T150405Z") + "-" + strings.ToLower(rand.Text()[:6]) + "/"
	x.prefix = r.Prefix
	for _, p := range probes {
		if o.Progress != nil {
			o.Progress(p.name)
		}
		out := Probe{Name: p.name, Promise: p.promise, Result: Held}
		err := p.run(x, ctx)
		b, isBroken := errors.AsType[*brokenError](err)
		switch {
		case isBroken:
			out.Result, out.What, out.Next = Broken, b.what, p.next
		case errors.Is(err, errNotTested):
			out.Result, out.What = NotTested, strings.TrimPrefix(err.Error(), errNotTested.Error()+": ")
		case err != nil:
			return r, fmt.Errorf("probe %q of %s: %w", p.name, r.Location, err)
		}
		r.Probes = append(r.Probes, out)
	}
	return r, nil
}

// key names an object of a probe.
func (x *examination) key(format string, args ...any) string {
	return x.prefix + fmt.Sprintf(format, args...)
}
