package snapshots

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// log reads the whole log anew and folds all of it that can be read, also
// behind a gap, so that as much as possible is verified.
func (v *verifier) log(ctx context.Context) error {
	v.st = (&State{}).clone()
	_, prev, err := readFormat(ctx, v.s.b)
	if err != nil {
		return err
	}
	numbers, err := v.entries(ctx)
	if err != nil {
		return err
	}
	add := v.o.Progress("log", int64(len(numbers)), "entries")
	defer add(-1)
	l := logVerifier{v: v, prev: prev, follows: true, sums: map[uint64]Digest{}}
	for len(numbers) > 0 {
		chunk := numbers[:min(readAhead, len(numbers))]
		numbers = numbers[len(chunk):]
		bodies, err := v.s.readEntries(ctx, chunk)
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		for i, data := range bodies {
			l.entry(chunk[i], data)
		}
		add(int64(len(chunk)))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.packs(ctx)
}

// entries lists the numbers of the log's entries.
func (v *verifier) entries(ctx context.Context) (numbers []uint64, err error) {
	for key, err := range v.s.b.List(ctx, logPrefix, logPrefix) {
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		n, err := logNumber(key)
		if err != nil {
			v.found(finding(ForeignInLog, key, "not the name of a log entry"))
			continue
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// logVerifier holds each entry against the one before it.
type logVerifier struct {
	v       *verifier
	last    uint64
	prev    Digest
	follows bool // the entry before is there and could be read
	sums    map[uint64]Digest
}

// packs holds the packs of entries against the entries. What they hold of an
// entry that is not there is not judged.
func (l *logVerifier) packs(ctx context.Context) error {
	var next uint64 = 1
	for key, err := range l.v.s.b.List(ctx, packsPrefix, packsPrefix) {
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		last, err := packNumber(key)
		if err != nil {
			l.v.found(finding(PackWrong, key, "not the name of a pack of log entries"))
			continue
		}
		data, err := readObject(ctx, l.v.s.b, key)
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		if what := l.pack(data, next, last); what != "" {
			l.v.found(finding(PackWrong, key, "%s", what))
		}
		next = last + 1
	}
	return nil
}

// pack says what is wrong with a pack that ends with entry last, where the ones
// before hold all up to entry next-1.
func (l *logVerifier) pack(data []byte, next, last uint64) string {
	entries, err := decodePack(data)
	if err != nil {
		return fmt.Sprintf("it can't be unpacked: %v", err)
	}
	first := last + 1 - uint64(len(entries))
	if len(entries) == 0 || first == 0 || first > last {
		return fmt.Sprintf("it holds %d entries", len(entries))
	}
	if first > next {
		return fmt.Sprintf("entries %d to %d are in no pack before it", next, first-1)
	}
	for i, e := range entries {
		n := first + uint64(i)
		if sum, ok := l.sums[n]; ok && digestOf(e) != sum {
			return logKey(n) + " holds other bytes"
		}
	}
	return ""
}

func (l *logVerifier) entry(n uint64, data []byte) {
	v := l.v
	for want := l.last + 1; want < n; want++ {
		if want > l.last+1000 {
			v.found(finding(EntryMissing, logKey(want), "it and %d more are missing, %s is there", n-want-1, logKey(n)))
			break
		}
		v.found(finding(EntryMissing, logKey(want), "it is missing, %s is there", logKey(n)))
	}
	follows := l.follows && n == l.last+1
	before := l.prev
	l.last, l.prev = n, digestOf(data)
	l.sums[n] = l.prev
	e, err := decodeEntry(data)
	switch {
	case err != nil:
		v.found(finding(EntryUnreadable, logKey(n), "not a log entry: %v", err))
	case e.N != n:
		err = fmt.Errorf("holds entry %d", e.N)
		v.found(finding(EntryUnreadable, logKey(n), "%v", err))
	}
	if l.follows = err == nil; err != nil {
		return
	}
	if follows && e.Prev != before {
		was := formatKey
		if n > 1 {
			was = logKey(n - 1)
		}
		v.found(finding(EntryChanged, was, "%s was written upon other bytes of it: one of the two was changed", logKey(n)))
	}
	v.st.fold(e, l.prev)
	v.report.Entries++
}

// StaleAfter is how long after its last sign of life a lease that was not given
// back counts as left behind.
const StaleAfter = 15 * time.Minute

// leases looks for targets that were taken and not given back.
func (v *verifier) leases(ctx context.Context) error {
	if !v.wholeStore() {
		return nil
	}
	for target, l := range v.st.Leases {
		if l.Released {
			continue
		}
		seen, err := v.s.lastRenewal(ctx, l.Holder.Session, 0)
		if err != nil && !IsCorrupt(err) {
			return err
		}
		at := seen.Time
		if at.IsZero() {
			at = l.Since
		}
		if v.s.o.Now().Sub(at) < StaleAfter {
			continue
		}
		f := finding(LeaseStale, logKey(l.N), "run %s on host %s (process %d) took target %s and shows no sign of life since %s",
			l.Holder.Run, l.Holder.Host, l.Holder.PID, target, at.UTC().Format(time.RFC3339))
		f.Target = target
		v.found(f)
	}
	return nil
}

// inputs looks at what checkpoints name beside snapshots, which the log knows
// and which are verified as such.
func (v *verifier) inputs(ctx context.Context) error {
	if !v.wholeStore() {
		return nil
	}
	var list []*object
	for _, c := range v.st.CheckpointsByTime() {
		v.report.Checkpoints++
		for _, role := range c.Pinned() {
			if _, ok := v.st.Snapshots[c.Pin(role)]; !ok {
				f := finding(PinUnknown, logKey(c.N), "it pins snapshot %s as %s, which no entry before it knows", c.Pin(role).Short(), role)
				f.Checkpoints = []string{c.Name}
				v.found(f)
			}
		}
		for _, in := range c.Inputs {
			o := in.object()
			if v.objects[o] == nil {
				list = append(list, v.need(o, roleInput, in.Name))
			}
		}
	}
	return v.present(ctx, list)
}

// keys looks whether the keys of all epochs that parts need are there.
func (v *verifier) keys(ctx context.Context) error {
	there, err := v.s.KeyEpochs(ctx)
	if err != nil {
		if errors.Is(err, context.Canceled) || ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("verify: look at the keys: %w", err)
	}
	has := map[uint32]bool{}
	for _, e := range there {
		has[e] = true
	}
	for _, p := range v.parts() {
		for _, e := range p.Epochs {
			if has[e] {
				continue
			}
			has[e] = true // told once
			f := finding(KeyGone, epochKey(e), "the keys of epoch %d are not there, and parts hold secrets sealed in it", e)
			f.Table = p.t.Name
			v.found(f)
		}
	}
	return nil
}
