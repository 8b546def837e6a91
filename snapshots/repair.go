package snapshots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// RepairOptions say what to repair, and with what.
type RepairOptions struct {
	// Snapshots limits the work as in VerifyOptions.
	Snapshots []string
	// From is a copy of the store, or another store with the same objects; nil
	// for none.
	From *Store
	// Apply writes; else only what would be written is found out.
	Apply    bool
	Workers  int
	Memory   int64
	Progress StepFunc
}

// RepairStep is what can be done about one finding, or why nothing can.
type RepairStep struct {
	Finding
	// Source is where the bytes come from, empty: there is none, see Why.
	Source RepairSource
	// Key is where they are written: the object's own if it is missing, that of
	// its second copy if it is damaged.
	Key  string
	Why  string
	Done bool

	body func(ctx context.Context, write func(io.ReadSeeker) error) error
}

// RepairSource is where the bytes of a repair come from.
type RepairSource string

// Sources of a repair.
const (
	RepairCopy    RepairSource = "copy"
	RepairRebuilt RepairSource = "rebuilt"
	RepairPack    RepairSource = "pack" // of the store's own log entries
)

// Repair looks for damage down to the bytes and makes good what it can: from a
// copy, or from the rows that an index belongs to. It only adds: a missing
// object is created, of a damaged one a second copy is made that readers fall
// back to, a log entry in a gap is created if it is proved by both its
// neighbours. Every byte is compared with the SHA-256 that the store knows
// before it is written, and after. Nothing is overwritten, moved or deleted.
func (s *Store) Repair(ctx context.Context, o RepairOptions) ([]RepairStep, error) {
	v, err := s.newVerifier(VerifyOptions{Level: VerifyBytes, Snapshots: o.Snapshots, Workers: o.Workers, Memory: o.Memory, Progress: o.Progress})
	if err != nil {
		return nil, err
	}
	if err := v.run(ctx); err != nil {
		return nil, err
	}
	r := repairer{v: v, from: o.From}
	for _, f := range v.report.Findings {
		if !f.Damage() {
			continue
		}
		step := RepairStep{Finding: f, Key: f.Object}
		if err := r.plan(ctx, &step); err != nil {
			return r.steps, err
		}
		r.steps = append(r.steps, step)
	}
	if err := r.gaps(ctx); err != nil || !o.Apply {
		return r.steps, err
	}
	add := v.o.Progress("repair", int64(len(r.steps)), "objects")
	defer add(-1)
	for i := range r.steps {
		if r.steps[i].Source == "" {
			continue
		}
		if err := r.apply(ctx, &r.steps[i]); err != nil {
			return r.steps, err
		}
		add(1)
	}
	return r.steps, nil
}

type repairer struct {
	v     *verifier
	from  *Store
	steps []RepairStep
}

// plan finds out what can be done about a finding.
func (r *repairer) plan(ctx context.Context, step *RepairStep) error {
	switch step.Kind {
	case EntryMissing:
		return nil // see gaps
	case ManifestMissing, ManifestDamaged:
		return r.manifest(ctx, step)
	}
	for _, o := range r.v.order {
		if o.state != sound && objectKinds[o.role][o.state] == step.Kind && objectKey(o.Object) == step.Object {
			return r.object(ctx, step, o)
		}
	}
	step.Why = step.Advice
	return nil
}

// destination chooses the key to write to: the place of what is gone, else that
// of a second copy. False: there is one, see Why.
func (r *repairer) destination(ctx context.Context, step *RepairStep, place string, gone bool) (bool, error) {
	if gone {
		step.Key = place
		return true, nil
	}
	step.Key = repairedKey(step.Object)
	_, err := r.v.s.b.Stat(ctx, step.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	}
	step.Why = "its second copy, " + step.Key + ", is damaged too: put the file back by hand"
	return false, nil
}

func (r *repairer) manifest(ctx context.Context, step *RepairStep) error {
	name, ok := manifestName(step.Object)
	if !ok {
		return fmt.Errorf("repair: %s is no manifest", step.Object)
	}
	if ok, err := r.destination(ctx, step, r.v.place(manifestContent(name)), step.Kind == ManifestMissing); !ok {
		return err
	}
	if r.from == nil {
		step.Why = noCopy
		return nil
	}
	data, err := r.from.readRepaired(ctx, manifestContent(name))
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && digestOf(data) != name:
		step.Why = r.notThere()
		return nil
	case err != nil:
		return fmt.Errorf("repair from %s: %w", r.from.Location(), err)
	}
	step.fromBytes(RepairCopy, data)
	return nil
}

const noCopy = "give a copy of the store that holds it: --from COPY"

func (r *repairer) notThere() string { return r.from.Location() + " does not hold it either" }

func (step *RepairStep) fromBytes(source RepairSource, data []byte) {
	step.Source = source
	step.body = func(_ context.Context, write func(io.ReadSeeker) error) error { return write(bytes.NewReader(data)) }
}

// object plans the repair of one object: anew from the rows that it belongs to,
// else from a copy.
func (r *repairer) object(ctx context.Context, step *RepairStep, o *object) error {
	if ok, err := r.destination(ctx, step, r.v.place(contentOf(o.Object)), o.state == missing); !ok {
		return err
	}
	data, err := r.rebuild(ctx, o)
	switch {
	case data != nil:
		step.fromBytes(RepairRebuilt, data)
		return nil
	case err != nil && !IsCorrupt(err) && !errors.Is(err, parts.ErrNotRebuilt):
		return fmt.Errorf("repair %s: %w", step.Object, err)
	}
	why := ""
	if err != nil {
		why = fmt.Sprintf("; from its rows: %v", err)
	}
	if r.from == nil {
		step.Why = noCopy + why
		return nil
	}
	open := r.from.verified()
	_, c, err := open(ctx, o.Object)
	switch {
	case IsCorrupt(err):
		step.Why = r.notThere() + why
		return nil
	case err != nil:
		return fmt.Errorf("repair from %s: %w", r.from.Location(), err)
	}
	step.Source = RepairCopy
	step.body = func(ctx context.Context, write func(io.ReadSeeker) error) (err error) {
		src, c, err := open(ctx, o.Object)
		if err != nil {
			return fmt.Errorf("repair from %s: %w", r.from.Location(), err)
		}
		defer func() { err = errors.Join(err, c.Close()) }()
		return write(io.NewSectionReader(src, 0, o.Bytes))
	}
	return c.Close()
}

// rebuild makes an index or a list of large values anew; nil for what can't be.
func (r *repairer) rebuild(ctx context.Context, o *object) (data []byte, err error) {
	if o.role != roleIndex && o.role != roleLargeList {
		return nil, nil
	}
	for _, p := range r.v.parts() {
		switch {
		case r.v.objects[p.Object].state != sound:
			continue
		case o.role == roleIndex && p.Index == o.Object:
			data, err = p.t.r.RebuildIndex(ctx, p.layer, p.part)
		case o.role == roleLargeList && p.Large != nil && *p.Large == o.Object:
			data, err = p.t.r.RebuildLargeList(ctx, p.layer, p.part)
		default:
			continue
		}
		if data != nil || err != nil && !IsCorrupt(err) && !errors.Is(err, parts.ErrNotRebuilt) {
			return data, err
		}
	}
	return nil, err
}

// apply writes one repair and reads it back.
func (r *repairer) apply(ctx context.Context, step *RepairStep) error {
	s := r.v.s
	var want Digest
	err := step.body(ctx, func(body io.ReadSeeker) error {
		o, err := identify(body)
		if err != nil {
			return err
		}
		want = o.SHA256
		if _, err := createInsisting(ctx, s.b, step.Key, body); err != nil && !errors.Is(err, ErrExists) {
			return err
		}
		return s.holds(ctx, step.Key, o)
	})
	if err != nil {
		return fmt.Errorf("repair %s: %w", step.Object, err)
	}
	step.Done = !want.IsZero()
	return nil
}

// holds makes sure that a key has an object's bytes.
func (s *Store) holds(ctx context.Context, key string, o parts.Object) error {
	_, c, err := s.copyAt(func(parts.Object) string { return key })(ctx, o)
	if err != nil {
		return err
	}
	return c.Close()
}

// gaps plans the return of log entries that are missing between others. The
// packs' or the copy's are taken if they follow upon the entry before the gap and the entry
// behind it follows upon them: then they are the very bytes that were there.
func (r *repairer) gaps(ctx context.Context) error {
	for i := 0; i < len(r.steps); i++ {
		if r.steps[i].Kind != EntryMissing {
			continue
		}
		end := i + 1
		for end < len(r.steps) && r.steps[end].Kind == EntryMissing && follows(r.steps[end-1].Object, r.steps[end].Object) {
			end++
		}
		why, err := r.gap(ctx, r.steps[i:end])
		if err != nil {
			return err
		}
		for j := i; why != "" && j < end; j++ {
			r.steps[j].Source, r.steps[j].Why = "", why
		}
		i = end - 1
	}
	return nil
}

func follows(a, b string) bool {
	m, err1 := logNumber(a)
	n, err2 := logNumber(b)
	return err1 == nil && err2 == nil && n == m+1
}

// gap plans one gap's entries; why says what is against it.
func (r *repairer) gap(ctx context.Context, steps []RepairStep) (why string, err error) {
	first, err := logNumber(steps[0].Object)
	if err != nil {
		return "", err
	}
	_, prev, err := readFormat(ctx, r.v.s.b)
	if err != nil {
		return "", err
	}
	if first > 1 {
		before, err := readObject(ctx, r.v.s.b, logKey(first-1))
		if err != nil {
			return "", err
		}
		prev = digestOf(before)
	}
	for i := range steps {
		n := first + uint64(i)
		data, source, why, err := r.lostEntry(ctx, n, prev)
		if data == nil {
			return why, err
		}
		if _, err := checkEntry(n, prev, n, data); err != nil {
			return "the entry there does not follow upon the one before: it is of another history", nil
		}
		prev = digestOf(data)
		steps[i].fromBytes(source, data)
	}
	behind := first + uint64(len(steps))
	data, err := readObject(ctx, r.v.s.b, logKey(behind))
	if err != nil {
		return "", err
	}
	if e, err := decodeEntry(data); err != nil || e.Prev != prev {
		return logKey(behind) + " does not follow upon the entry there: it is of another history", nil
	}
	return "", nil
}

// lostEntry returns the bytes of a log entry from the store's packs, if they
// follow upon the entry before, or from the copy; nil and why where neither has
// it.
func (r *repairer) lostEntry(ctx context.Context, n uint64, prev Digest) (data []byte, source RepairSource, why string, err error) {
	if data := r.v.s.packed(ctx, n); data != nil {
		if _, err := checkEntry(n, prev, n, data); err == nil {
			return data, RepairPack, "", nil
		}
	}
	if r.from == nil {
		return nil, "", noCopy, nil
	}
	data, err = readObject(ctx, r.from.b, logKey(n))
	if errors.Is(err, ErrNotFound) {
		return nil, "", r.notThere(), nil
	}
	if err != nil {
		return nil, "", "", fmt.Errorf("repair from %s: %w", r.from.Location(), err)
	}
	return data, RepairCopy, "", nil
}
