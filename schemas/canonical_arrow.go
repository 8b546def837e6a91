package schemas

import (
	"cmp"
	"slices"

	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// AppendArrow appends the canonical encoding of row i of a batch straight from
// Arrow: key is the legacy key's column, cols the table's columns in its order.
// refs lists the large values that the batch left out of this row.
func (e *Encoder) AppendArrow(dst []byte, key *array.String, cols []arrow.Array, i int, refs []LargeRef) ([]byte, error) {
	e.begin(dst, refs)
	k := ""
	if key.IsValid(i) {
		k = key.Value(i)
	}
	if err := e.legacyKey(k); err != nil {
		return dst, err
	}
	for _, c := range e.order {
		col := &e.table.Columns[c]
		e.u32(uint32(col.ID))
		if err := e.arrowCell(col, cols[c], i); err != nil {
			return dst, fmt.Errorf("column %s: %w", col.Name, err)
		}
	}
	return e.end(dst)
}

func (e *Encoder) arrowCell(c *Column, col arrow.Array, i int) error {
	if col.IsNull(i) {
		e.null(c)
		return nil
	}
	switch a := col.(type) {
	case *array.Boolean:
		e.bool(a.Value(i))
	case *array.Int64:
		e.number(Int, a.Value(i))
	case *array.Timestamp:
		e.number(Timestamp, int64(a.Value(i)))
	case *array.String:
		return value(e, String, a.Value(i))
	case *array.Binary:
		return value(e, Binary, a.Value(i))
	case *array.Struct:
		mac, box := sealedParts(a)
		e.secret(mac.Value(i), box.Value(i))
		e.boxes = append(e.boxes, box.Value(i))
	case *array.Map: // before List: a map holds one
		return e.arrowMap(c, a, i)
	case *array.List:
		e.tag(c.Type)
		from, to := a.ValueOffsets(i)
		return e.arrowList(c, nil, a.ListValues(), int(from), int(to))
	default:
		return fmt.Errorf("arrow type %s does not fit column type %s", col.DataType(), c.Type)
	}
	return nil
}

func sealedParts(a *array.Struct) (*array.FixedSizeBinary, *array.Binary) {
	return a.Field(0).(*array.FixedSizeBinary), a.Field(1).(*array.Binary)
}

func (e *Encoder) arrowList(c *Column, key *string, values arrow.Array, from, to int) error {
	e.beginList()
	for j := from; j < to; j++ {
		e.beginElement()
		if err := e.arrowElement(c, key, values, j, j-from); err != nil {
			return err
		}
		e.endElement()
	}
	e.endList(c.Set)
	return nil
}

func (e *Encoder) arrowElement(c *Column, key *string, values arrow.Array, j, index int) error {
	if values.IsNull(j) {
		if len(e.refs) > 0 && !c.Type.IsSecret() {
			if ref := e.ref(c.Name, key, index); ref != nil {
				e.large(elementType(c.Type), ref.SHA256, ref.Size)
				return nil
			}
		}
		return errNullValue
	}
	switch a := values.(type) {
	case *array.String:
		return value(e, String, a.Value(j))
	case *array.Binary:
		return value(e, Binary, a.Value(j))
	case *array.Struct:
		mac, box := sealedParts(a)
		e.secret(mac.Value(j), box.Value(j))
		return nil
	}
	return fmt.Errorf("arrow type %s does not fit elements of %s", values.DataType(), c.Type)
}

// elementType is the type of a multi-valued column's elements.
func elementType(t Type) Type {
	switch t {
	case Strings, StringsMap:
		return String
	case Binaries, BinariesMap:
		return Binary
	}
	return Secret
}

func (e *Encoder) arrowMap(c *Column, m *array.Map, i int) error {
	keys, lists := m.Keys().(*array.String), m.Items().(*array.List)
	from, to := m.ValueOffsets(i)
	e.tag(c.Type)
	e.u32(uint32(to - from))
	if sortedKeys(keys, int(from), int(to)) {
		for j := int(from); j < int(to); j++ {
			if err := e.arrowEntry(c, keys, lists, j); err != nil {
				return err
			}
		}
		return nil
	}
	order := make([]int, 0, to-from)
	for j := from; j < to; j++ {
		order = append(order, int(j))
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(keys.Value(x), keys.Value(y)) })
	for n, j := range order {
		if n > 0 && keys.Value(order[n-1]) == keys.Value(j) {
			return errTwice
		}
		if err := e.arrowEntry(c, keys, lists, j); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys(keys *array.String, from, to int) bool {
	for j := from + 1; j < to; j++ {
		if keys.Value(j-1) >= keys.Value(j) {
			return false
		}
	}
	return true
}

func (e *Encoder) arrowEntry(c *Column, keys *array.String, lists *array.List, j int) error {
	k := keys.Value(j)
	if err := e.mapKey(k); err != nil {
		return err
	}
	from, to := lists.ValueOffsets(j)
	if lists.IsNull(j) { // no list and an empty one are the same in a map
		to = from
	}
	return e.arrowList(c, &k, lists.ListValues(), int(from), int(to))
}
