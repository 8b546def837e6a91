package parts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/parallelrun/parallelrun/internal/extsort"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
)

// ResealOptions say how parts get their secrets sealed anew.
type ResealOptions struct {
	// Seal seals one secret anew; its MAC has to stay.
	Seal func(table string, row schemas.RowID, column string, s schemas.Sealed) (schemas.Sealed, error)
	// Epoch is that which Seal seals in.
	Epoch uint32
	// TempDir is where parts are collected; empty means os.TempDir.
	TempDir string
	Put     PutFunc
}

// ResealPart writes one part of a layer with its secrets sealed anew. All else
// stays as it is, row digests too, so index and list of large values are those
// of before. The same part gives the same bytes each time.
func (r *Reader) ResealPart(ctx context.Context, layer, part int, o ResealOptions) (p Part, err error) {
	p = r.t.Layers[layer].Parts[part]
	e, err := newPartEncoder(&TableWriter{t: r.shape, o: Options{TempDir: o.TempDir, Put: o.Put}})
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, e.out.Close()) }()
	defer e.release()
	mostRows, mostBytes := groupRows, int64(groupBytes)
	if layer > 0 {
		mostRows, mostBytes = changeGroupRows, changeGroupBytes
	}
	rows := newRowEncoder(&r.shape)
	rows.enc.Large = func([]byte) (sum [sha256.Size]byte, err error) {
		return sum, errors.New("a large value that is no object of its own")
	}
	for row, err := range r.PartRows(ctx, layer, part) {
		if err != nil {
			return p, err
		}
		if err := o.row(&r.shape, &row.Row); err != nil {
			return p, err
		}
		anew, err := rows.one(&row.Row)
		if err != nil {
			return p, fmt.Errorf("table %s, row %s: %w", r.t.Name, row.ID, err)
		}
		if anew.digest != row.Digest {
			return p, &Corruption{Object: p.Object.Name(), Table: r.t.Name, Detail: fmt.Sprintf("row %s does not have its digest", row.ID), Advice: adviceRestore}
		}
		if err := e.add(ctx, anew, mostRows, mostBytes); err != nil {
			return p, err
		}
	}
	if e.stored != p.Rows {
		return p, &Corruption{Object: p.Object.Name(), Table: r.t.Name, Detail: fmt.Sprintf("it has %d rows, the manifest says %d", e.stored, p.Rows), Advice: adviceRestore}
	}
	if err := errors.Join(e.flush(), e.pq.Close()); err != nil {
		return p, err
	}
	p.Epochs = e.sealedIn()
	p.Object, err = e.put(ctx)
	return p, err
}

// one encodes a single row. It is valid until the next call.
func (e *rowEncoder) one(row *schemas.Row) (sorted, error) {
	e.reset()
	if err := e.add(row.ID, 0, func(dst []byte) ([]byte, error) { return e.enc.AppendRow(dst, row) }); err != nil {
		return sorted{}, err
	}
	at := e.rows[0]
	return readSorted(extsort.Record{Key: e.b[at.key:at.value], Value: e.b[at.value:at.end]}), nil
}

// row seals the secrets of a row anew.
func (o *ResealOptions) row(t *schemas.Table, row *schemas.Row) error {
	for i, c := range t.Columns {
		var err error
		switch v := row.Values[i].(type) {
		case schemas.Sealed:
			row.Values[i], err = o.cell(t.Name, row.ID, c.Name, v)
		case []schemas.Sealed:
			err = o.cells(t.Name, row.ID, c.Name, v)
		case map[string][]schemas.Sealed:
			for key, list := range v {
				err = errors.Join(err, o.cells(t.Name, row.ID, fmt.Sprintf("%s[%q]", c.Name, key), list))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *ResealOptions) cells(table string, row schemas.RowID, column string, list []schemas.Sealed) error {
	for i, s := range list {
		var err error
		if list[i], err = o.cell(table, row, column, s); err != nil {
			return err
		}
	}
	return nil
}

func (o *ResealOptions) cell(table string, row schemas.RowID, column string, s schemas.Sealed) (schemas.Sealed, error) {
	if epoch, err := seal.BoxEpoch(s.Box); err == nil && epoch >= o.Epoch {
		return s, nil
	}
	return o.Seal(table, row, column, s)
}
