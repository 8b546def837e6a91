package snapshots

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// SecondReader reads a part with another program's Parquet reader and compares
// every cell with what ours reads. A *parts.SecondError says how they differ,
// or how the other one failed; any other error that nothing could be compared.
type SecondReader func(ctx context.Context, r *parts.Reader, layer, part int) error

// second lets another reader look at parts that ours has proved.
func (v *verifier) second(ctx context.Context) error {
	if v.o.Level < VerifyDeep {
		return nil
	}
	list := chosen(v, v.parts(), func(p verifyPart) [sha256.Size]byte { return p.Object.SHA256 })
	return each(ctx, v, "second reader", "parts", v.within(parts.SecondMemory+decodeMemory), list, func(ctx context.Context, p verifyPart) error {
		if !v.sound(p.objects()...) {
			return nil
		}
		err := v.o.Second(ctx, p.t.r, p.layer, p.part)
		e, ok := errors.AsType[*parts.SecondError](err)
		if err != nil && !ok {
			return err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.report.SecondParts++
		if ok {
			kind := SecondFailed
			if e.Differs {
				kind = SecondDiffers
			}
			f := finding(kind, objectKey(p.Object), "%s", e.What)
			f.Table = p.t.Name
			v.report.Findings = append(v.report.Findings, f)
		}
		return nil
	})
}
