package parts

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/parallelrun/parallelrun/internal/arrowmem"
	"github.com/parallelrun/parallelrun/schemas"
)

// VerifyRows decodes the whole table, computes every row's digest anew, and
// compares it with the part, the index and the table's digest. It yields what
// it finds, *Corruption for damage, and goes on with the next part; nothing
// means that rows and digests agree. It reads large values too, so that their
// bytes are checked. What it does not prove: that the rows are those of the
// source. VerifyPart and VerifyDigest are its pieces, for whoever does several
// at once.
func (r *Reader) VerifyRows(ctx context.Context) iter.Seq[error] {
	return func(yield func(error) bool) {
		if err := r.checkLayers(); err != nil {
			yield(err)
			return
		}
		whole := true
		for layer, l := range r.t.Layers {
			for i := range l.Parts {
				if err := r.verifyPart(ctx, layer, i, true); err != nil {
					whole = false
					if !yield(r.damage(err)) || context.Cause(ctx) != nil {
						return
					}
				}
			}
		}
		if whole {
			if err := r.VerifyDigest(ctx); err != nil {
				yield(err)
			}
		}
	}
}

// VerifyPart decodes one part of a layer and compares each row with its digest,
// which is computed anew, and with its place in the index; and the large values
// that its rows name with the list of them, whose bytes it does not read.
func (r *Reader) VerifyPart(ctx context.Context, layer, part int) error {
	if err := r.checkLayers(); err != nil {
		return err
	}
	return r.damage(r.verifyPart(ctx, layer, part, false))
}

func (r *Reader) verifyPart(ctx context.Context, layer, part int, large bool) error {
	v := partVerifier{r: r, ctx: ctx, p: r.t.Layers[layer].Parts[part], change: layer > 0, readLarge: large}
	return v.run()
}

// VerifyDigest computes the table's digest anew from the indexes of all layers,
// and compares what each change says was below it with what is there. Where
// VerifyPart found nothing in any part, that proves the rows.
func (r *Reader) VerifyDigest(ctx context.Context) error {
	if err := r.checkLayers(); err != nil {
		return err
	}
	tree := newTrie()
	var last schemas.RowID
	err := r.eachRow(ctx, func(below *Entry, m *changeMerge) error {
		var e Entry
		if below != nil {
			e = *below
		}
		if m != nil {
			e.ID = m.id
			for _, c := range m.at {
				if c.change.Old != e.Digest {
					return corrupt(c.list.o, "it changes row %s from a digest that the layers below do not have", m.id)
				}
				e.Digest = c.change.New
			}
		}
		if tree.rows > 0 && last.Compare(e.ID) >= 0 {
			return &Corruption{Detail: fmt.Sprintf("row %s does not come after the part before", e.ID), Advice: adviceRestore}
		}
		if !isZero(e.Digest) {
			tree.add(e)
			last = e.ID
		}
		return nil
	})
	if err == nil {
		err = r.compareDigest(tree)
	}
	return r.damage(err)
}

func (r *Reader) compareDigest(tree *trie) error {
	if tree.rows != r.t.Rows {
		return &Corruption{Detail: fmt.Sprintf("its parts have %d rows, the manifest says %d", tree.rows, r.t.Rows), Advice: adviceRestore}
	}
	if tree.digest() != r.t.Digest {
		return &Corruption{Detail: "the digest of its rows is not the manifest's", Advice: adviceRestore}
	}
	return nil
}

// partVerifier checks one part against its index and list of large objects.
type partVerifier struct {
	r         *Reader
	ctx       context.Context
	p         Part
	change    bool // the part is of a change layer
	readLarge bool // compare the bytes of large values too

	enc   *schemas.Encoder
	buf   []byte
	refs  []schemas.LargeRef
	large map[Object]bool
}

func (v *partVerifier) run() (err error) {
	v.enc, v.large = schemas.NewEncoder(&v.r.shape), map[Object]bool{}
	pf, err := v.r.openPart(v.ctx, v.p, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pf.Close()) }()
	pf.mem = arrowmem.Pooled
	index := make([]Entry, 0, min(v.p.Rows, DefaultRows))
	for e, err := range v.index() {
		if err != nil {
			return err
		}
		index = append(index, e)
	}
	for g := range pf.groups() {
		if index, err = v.group(pf, g, index); err != nil {
			return err
		}
	}
	if len(index) > 0 {
		return corrupt(v.p.Index, "row %s is in the index only", index[0].ID)
	}
	return v.verifyLarge()
}

// index yields the entries of the index that have a row; as many as a part has
// are at hand while it is decoded.
func (v *partVerifier) index() iter.Seq2[Entry, error] {
	if !v.change {
		return v.r.PartIndex(v.ctx, v.p)
	}
	one := Reader{t: Table{Name: v.r.t.Name, Layers: []Layer{{Kind: KindWhole}, {Kind: KindChange, Parts: []Part{v.p}}}}, open: v.r.open}
	return func(yield func(Entry, error) bool) {
		err := one.eachChange(v.ctx, 1, func(m *changeMerge) error {
			if c := m.change(); !isZero(c.New) && !yield(Entry{ID: c.ID, Digest: c.New}, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Entry{}, err)
		}
	}
}

// group compares the rows of a group with the entries that come next, and
// returns those that are left.
func (v *partVerifier) group(pf *partFile, g int, index []Entry) ([]Entry, error) {
	if err := context.Cause(v.ctx); err != nil {
		return nil, err
	}
	grp, err := pf.read(g)
	if err != nil {
		return nil, err
	}
	defer grp.release()
	if grp.rows > len(index) {
		return nil, corrupt(v.p.Object, "row group %d goes on behind the index's end", g)
	}
	err = guard(v.p.Object, func() error {
		for i, e := range index[:grp.rows] {
			if err := v.row(grp, i, e); err != nil {
				return err
			}
		}
		return nil
	})
	return index[grp.rows:], err
}

// row compares a row with its index entry and its own digest.
func (v *partVerifier) row(g *group, i int, e Entry) (err error) {
	id := schemas.RowID(g.ids.Value(i))
	if id != e.ID {
		return corrupt(v.p.Object, "row %s stands where the index has %s", id, e.ID)
	}
	v.refs = g.refs(v.refs[:0], i)
	if v.buf, err = v.enc.AppendArrow(v.buf[:0], g.keys, g.own, i, v.refs); err != nil {
		return corruptCause(v.p.Object, fmt.Sprintf("row %s can't be encoded", id), err)
	}
	digest := schemas.DigestOf(v.buf)
	if digest != e.Digest || digest != schemas.Digest(g.digest.Value(i)) {
		return corrupt(v.p.Object, "row %s does not have its digest", id)
	}
	for _, ref := range v.refs {
		v.large[Object{SHA256: ref.SHA256, Bytes: ref.Size}] = true
	}
	return nil
}

// verifyLarge compares the part's large values with the list of their objects
// and, if asked to, reads each.
func (v *partVerifier) verifyLarge() error {
	listed := map[Object]bool{}
	if v.p.Large != nil {
		objects, err := v.r.largeOf(v.ctx, *v.p.Large)
		if err != nil {
			return err
		}
		for _, o := range objects {
			listed[o] = true
		}
	}
	for o := range v.large {
		if !listed[o] {
			return corrupt(v.p.Object, "its large value %s is not listed", o.Name())
		}
	}
	if len(listed) != len(v.large) {
		return corrupt(v.p.Object, "%d large values are listed, it has %d", len(listed), len(v.large))
	}
	if !v.readLarge {
		return nil
	}
	for o := range v.large {
		_, closer, err := v.r.open(v.ctx, o)
		if err != nil {
			return err
		}
		if err := closer.Close(); err != nil {
			return err
		}
	}
	return nil
}
