package snapshots

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// rows decodes parts and computes the digests of their rows anew.
func (v *verifier) rows(ctx context.Context) error {
	if v.o.Level < VerifyRows {
		return nil
	}
	list := chosen(v, v.parts(), func(p verifyPart) [sha256.Size]byte { return p.Object.SHA256 })
	v.report.ReadParts = len(list)
	return each(ctx, v, "rows", "parts", v.within(decodeMemory), list, func(ctx context.Context, p verifyPart) error {
		if !v.sound(p.objects()...) {
			return nil // its rows would only tell the same again
		}
		err := p.t.r.VerifyPart(ctx, p.layer, p.part)
		if err == nil {
			v.mu.Lock()
			v.report.Rows += p.Rows
			v.mu.Unlock()
			for _, o := range p.objects() {
				v.wasRead(v.objects[o])
			}
			return nil
		}
		return v.misfit(ctx, p, err)
	})
}

// misfit finds out what is behind a part whose rows can't be read or are not
// what their digests say: a file whose bytes were changed, or one that was
// wrong from the start.
func (v *verifier) misfit(ctx context.Context, p verifyPart, err error) error {
	c, ok := errors.AsType[*parts.Corruption](err)
	if !ok && !IsCorrupt(err) {
		return err
	}
	for _, o := range p.objects() {
		if err := v.compare(ctx, v.objects[o]); err != nil {
			return err
		}
	}
	if !v.sound(p.objects()...) {
		return nil
	}
	f := finding(RowsDiffer, objectKey(p.Object), "%v", err)
	if ok {
		f.What = c.Detail
		if sum, named := parseHex(c.Object); named {
			f.Object = objectKey(parts.Object{SHA256: sum})
		}
		if c.Err != nil {
			f.What += ": " + c.Err.Error()
		}
	}
	f.Table = p.t.Name
	v.mu.Lock()
	defer v.mu.Unlock()
	v.objects[p.Object].state = damaged
	v.report.Findings = append(v.report.Findings, f)
	return nil
}

// digests computes the tables' digests anew, of those whose parts are all
// right. A sample proves nothing about whole tables.
func (v *verifier) digests(ctx context.Context) error {
	if v.o.Level < VerifyRows {
		return nil
	}
	if v.o.Sample > 0 {
		v.report.TablesLeft = len(v.tables)
		return nil
	}
	return each(ctx, v, "digests", "tables", v.within(hashMemory), v.tables, func(ctx context.Context, t *verifyTable) error {
		for _, l := range t.Layers {
			for i := range l.Parts {
				if p := (verifyPart{Part: l.Parts[i]}); !v.sound(p.objects()...) {
					return nil
				}
			}
		}
		err := t.r.VerifyDigest(ctx)
		if err != nil && !IsCorrupt(err) {
			return err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.report.Tables++
		if c, ok := errors.AsType[*parts.Corruption](err); ok {
			f := finding(TableDiffer, "", "%s", c.Detail)
			if sum, named := parseHex(c.Object); named {
				f.Object = objectKey(parts.Object{SHA256: sum})
			} else {
				f.Object = manifestKey(t.manifest)
			}
			f.Table = t.Name
			v.report.Findings = append(v.report.Findings, f)
		}
		return nil
	})
}
