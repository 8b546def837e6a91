package snapshots

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// asksAtOnce is how many objects are asked for their size at once, where no
// list says the sizes.
const asksAtOnce = 32

// detailer is a back end whose lists say sizes too: those of a bucket cost one
// request for a thousand objects. Others are asked for one object after another.
type detailer interface {
	Details(ctx context.Context, prefix, after string) iter.Seq2[Detail, error]
}

// sizes are what a listing says of the objects, by their keys: of those that are
// named by their SHA-256 alone, as nearly all are, in little memory. They stand
// for as long as one Verify takes.
type sizes struct {
	plain map[[sha256.Size]byte]int64
	other map[string]int64
}

func (z *sizes) of(key string) (size int64, ok bool) {
	if sum, plain := objectSum(key); plain {
		size, ok = z.plain[sum]
	} else {
		size, ok = z.other[key]
	}
	return size, ok
}

func (z *sizes) add(d Detail) {
	if sum, plain := objectSum(d.Key); plain {
		z.plain[sum] = d.Size
	} else {
		z.other[d.Key] = d.Size
	}
}

// presence looks at all objects that are known so far: whether they are there,
// as long as they must be.
func (v *verifier) presence(ctx context.Context) error {
	for key, err := range v.s.b.List(ctx, repairedPrefix, "") {
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		if key != "" {
			v.report.Repaired++
		}
	}
	if v.wholeStore() {
		if err := v.list(ctx); err != nil {
			return err
		}
	}
	return v.present(ctx, v.order)
}

// list reads what lies in the store, if that can be had with sizes.
func (v *verifier) list(ctx context.Context) error {
	z, ok := v.s.b.(detailer)
	if !ok {
		return nil
	}
	add := v.o.Progress("list", 0, "objects")
	defer add(-1)
	found, err := listSizes(ctx, z, add)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	v.there = found
	return nil
}

// listSizes lists all objects, by the 16 first digits side by side, and second
// copies.
func listSizes(ctx context.Context, z detailer, add func(int64)) (*sizes, error) {
	prefixes := []string{repairedPrefix}
	for digit := range 16 {
		prefixes = append(prefixes, fmt.Sprintf("%s%x", objectsPrefix, digit))
	}
	found := make([]sizes, len(prefixes))
	g, ctx := errgroup.WithContext(ctx)
	for i, prefix := range prefixes {
		found[i] = sizes{map[[sha256.Size]byte]int64{}, map[string]int64{}}
		g.Go(func() error {
			for d, err := range z.Details(ctx, prefix, "") {
				if err != nil {
					return err
				}
				found[i].add(d)
				add(1)
			}
			return nil
		})
	}
	err := g.Wait()
	for _, part := range found[1:] {
		maps.Copy(found[0].plain, part.plain)
		maps.Copy(found[0].other, part.other)
	}
	return &found[0], err
}

// objectSum reads what objectKey writes.
func objectSum(key string) (sum [sha256.Size]byte, ok bool) {
	var o parts.Object
	if o.SHA256, ok = parseHex(key[strings.LastIndexByte(key, '/')+1:]); !ok || objectKey(o) != key {
		return sum, false
	}
	return o.SHA256, true
}

func parseHex(s string) (sum [sha256.Size]byte, ok bool) {
	var d Digest
	if len(s) != 2*len(d) || d.UnmarshalText([]byte(s)) != nil {
		return sum, false
	}
	return d, true
}

// present looks whether objects are there and as long as they must be.
func (v *verifier) present(ctx context.Context, list []*object) error {
	if v.there != nil {
		for _, o := range list {
			if err := v.look(o, func(key string) (int64, bool, error) {
				size, ok := v.there.of(key)
				return size, ok, nil
			}); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	return each(ctx, v, "sizes", "objects", asksAtOnce, list, func(ctx context.Context, o *object) error {
		return v.look(o, func(key string) (int64, bool, error) { return v.size(ctx, key) })
	})
}

// place is where content lies by the log that is verified, which the store
// itself may not have read so far.
func (v *verifier) place(c content) string { return v.st.marks.key(c) }

// look asks for an object's size, and for that of its second copy where
// something is wrong.
func (v *verifier) look(o *object, ask func(key string) (int64, bool, error)) error {
	place := v.place(contentOf(o.Object))
	size, ok, err := ask(place)
	if err != nil {
		return err
	}
	t := troubleOf(size, ok, o.Bytes)
	if t == sound {
		return nil
	}
	second, ok, err := ask(repairedKey(objectKey(o.Object)))
	if err != nil {
		return err
	}
	v.judge(o, t, size, ok && second == o.Bytes)
	return nil
}

func troubleOf(size int64, there bool, want int64) trouble {
	switch {
	case !there:
		return missing
	case size != want:
		return wrongSize
	}
	return sound
}

func (v *verifier) size(ctx context.Context, key string) (size int64, ok bool, err error) {
	size, err = v.s.b.Stat(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return 0, false, nil
	}
	return size, err == nil, err
}

// judge notes what is wrong with an object's first copy: a finding, unless a
// second one stands in.
func (v *verifier) judge(o *object, t trouble, size int64, repaired bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if repaired || o.state != sound {
		return
	}
	o.state = t
	f := finding(objectKinds[o.role][t], objectKey(o.Object), "its bytes do not have its SHA-256")
	switch t {
	case missing:
		f.What = "it is missing"
	case wrongSize:
		f.What = fmt.Sprintf("%d bytes long, want %d", size, o.Bytes)
	}
	if o.role == roleInput {
		f.What += ", input " + o.table
	} else {
		f.Table = o.table
	}
	v.report.Findings = append(v.report.Findings, f)
}

// largeValues reads the lists of large values and looks at what they name.
func (v *verifier) largeValues(ctx context.Context) error {
	var lists []*object
	for _, o := range v.order {
		if o.role == roleLargeList && o.state == sound {
			lists = append(lists, o)
		}
	}
	before := len(v.order)
	err := each(ctx, v, "lists of large values", "lists", v.o.Workers, lists, func(ctx context.Context, o *object) error {
		values, err := parts.LargeOf(ctx, v.s.verified(), o.Object)
		if err != nil {
			return v.misread(o, err)
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		o.read = true
		for _, x := range values {
			v.need(x, roleLargeValue, o.table)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(v.order[before:], func(a, b *object) int { return bytes.Compare(a.SHA256[:], b.SHA256[:]) })
	v.report.LargeValues = len(v.order) - before
	return v.present(ctx, v.order[before:])
}

// misread notes that an object whose name and size are right can't be used.
// What is no damage is given back.
func (v *verifier) misread(o *object, err error) error {
	if !IsCorrupt(err) {
		return err
	}
	v.judge(o, damaged, 0, false)
	return nil
}

// orphans counts objects that nothing needs. It is no finding: runs that died,
// and runs that are at work, leave them.
func (v *verifier) orphans(ctx context.Context) error {
	if !v.wholeStore() || len(v.report.Findings) > 0 {
		return nil // what can't be read may need them
	}
	needed := map[string]bool{}
	for o := range v.objects {
		needed[v.place(contentOf(o))] = true
	}
	count := func(key string) {
		if strings.HasPrefix(key, objectsPrefix) && !needed[key] {
			v.report.Orphans++
		}
	}
	if v.there != nil {
		for sum := range v.there.plain {
			count(objectKey(parts.Object{SHA256: sum}))
		}
		for key := range v.there.other {
			count(key)
		}
		return nil
	}
	for key, err := range v.s.b.List(ctx, objectsPrefix, "") {
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		count(key)
	}
	return nil
}

// chosen is the part of a list that a sample takes: by a hash of seed and name,
// so that the same seed chooses the same, and at least one.
func chosen[T any](v *verifier, list []T, name func(T) [sha256.Size]byte) []T {
	if v.o.Sample == 0 || len(list) == 0 {
		return list
	}
	type ranked struct {
		x    T
		rank [sha256.Size]byte
	}
	all := make([]ranked, len(list))
	for i, x := range list {
		sum := name(x)
		all[i] = ranked{x, sha256.Sum256(append([]byte(v.o.Seed+"\x00"), sum[:]...))}
	}
	slices.SortFunc(all, func(a, b ranked) int { return bytes.Compare(a.rank[:], b.rank[:]) })
	n := max(int(math.Ceil(v.o.Sample/100*float64(len(list)))), 1)
	out := make([]T, 0, n)
	for _, r := range all[:min(n, len(all))] {
		out = append(out, r.x)
	}
	return out
}

// bytes compares objects with their SHA-256, but for those that the rows are
// read from, which do so by themselves.
func (v *verifier) bytes(ctx context.Context) error {
	if v.o.Level < VerifyBytes {
		return nil
	}
	sampled := chosen(v, v.parts(), func(p verifyPart) [sha256.Size]byte { return p.Object.SHA256 })
	var list, values []*object
	seen := map[*object]bool{}
	for _, p := range sampled {
		for _, o := range p.objects() {
			x := v.objects[o]
			if seen[x] || x.read || x.state != sound || v.o.Level >= VerifyRows && x.role != roleLargeList {
				continue
			}
			seen[x] = true
			list = append(list, x)
		}
	}
	for _, o := range v.order {
		switch {
		case o.role == roleLargeValue:
			values = append(values, o)
		case o.role == roleInput && o.state == sound:
			list = append(list, o) // few, and never sampled
		}
	}
	values = chosen(v, values, func(o *object) [sha256.Size]byte { return o.SHA256 })
	v.report.ReadValues = len(values)
	for _, o := range values {
		if o.state == sound {
			list = append(list, o)
		}
	}
	if v.o.Level < VerifyRows {
		v.report.ReadParts = len(sampled)
	}
	v.report.Parts = len(v.parts())
	// The largest first, so that no worker ends long after the others.
	slices.SortStableFunc(list, func(a, b *object) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return each(ctx, v, "bytes", "files", v.within(hashMemory), list, v.compare)
}

// What a worker holds: an object's bytes while they are hashed, and a decoded
// row group with its pages while rows are read.
const (
	hashMemory   = 8 << 20
	decodeMemory = 64 << 20
)

// within is how many workers fit into memory.
func (v *verifier) within(each int64) int {
	return int(min(int64(v.o.Workers), max(v.o.Memory/each, 1)))
}

// compare holds an object's bytes against its SHA-256.
func (v *verifier) compare(ctx context.Context, o *object) error {
	err := v.hash(ctx, o, v.s.openFirst)
	if err == nil || !IsCorrupt(err) {
		return err
	}
	again := v.hash(ctx, o, v.s.openSecond)
	if again != nil && !IsCorrupt(again) {
		return again
	}
	v.judge(o, damaged, 0, again == nil)
	return nil
}

func (v *verifier) hash(ctx context.Context, o *object, open parts.SourceFunc) error {
	err := parts.Check(ctx, open, o.Object)
	if err == nil {
		v.wasRead(o)
	}
	return err
}

func (v *verifier) wasRead(o *object) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !o.read {
		o.read = true
		v.report.Read += o.Bytes
	}
}
