package transform

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/parallelrun/parallelrun/schemas"
)

// rowView is one legacy row as expressions see it: `row`, typed by its table's
// columns. A cell that is null reads as the empty value of its type (text "",
// number 0, false, an empty list or map), a timestamp or secret as null;
// has(row.x) tells null from empty.
type rowView struct {
	table  *schemas.Table
	row    schemas.Row
	item   string
	active bool // item is set
	trace  *tracer
}

// ResolveName implements cel.Activation.
func (v *rowView) ResolveName(name string) (any, bool) {
	switch name {
	case "row":
		return v, true
	case "key":
		return v.row.Key, true
	case "item":
		return v.item, v.active
	}
	return nil, false
}

// Parent implements cel.Activation.
func (v *rowView) Parent() cel.Activation { return nil }

// secretType is the type of secrets in expressions: it has no operations.
var secretType = cel.OpaqueType("secret")

// celType is the type that expressions see for a column type.
func celType(t schemas.Type) *cel.Type {
	switch t {
	case schemas.Bool:
		return cel.BoolType
	case schemas.Int:
		return cel.IntType
	case schemas.Timestamp:
		return cel.TimestampType
	case schemas.String:
		return cel.StringType
	case schemas.Binary:
		return cel.BytesType
	case schemas.Strings:
		return cel.ListType(cel.StringType)
	case schemas.Binaries:
		return cel.ListType(cel.BytesType)
	case schemas.StringsMap:
		return cel.MapType(cel.StringType, cel.ListType(cel.StringType))
	case schemas.BinariesMap:
		return cel.MapType(cel.StringType, cel.ListType(cel.BytesType))
	case schemas.Secret:
		return secretType
	case schemas.Secrets:
		return cel.ListType(secretType)
	case schemas.SecretsMap:
		return cel.MapType(cel.StringType, cel.ListType(secretType))
	}
	panic(fmt.Sprintf("transform: no expression type for column type %d", t))
}

// provider knows the row types, one for each legacy table.
type provider struct {
	types.Provider
	tables map[string]*schemas.Table // by type name
}

func rowType(table string) string { return "legacy." + table }

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := p.tables[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	t, ok := p.tables[name]
	if !ok {
		return p.Provider.FindStructFieldNames(name)
	}
	return columnNames(t), true
}

// FindStructFieldType implements types.Provider.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	t, ok := p.tables[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, field)
	}
	i := t.Column(field)
	if i < 0 {
		return nil, false
	}
	c := t.Columns[i]
	return &types.FieldType{
		Type: celType(c.Type),
		IsSet: func(target any) bool {
			v, ok := target.(*rowView)
			return ok && v.row.Values[i] != nil
		},
		GetFrom: func(target any) (any, error) {
			v, ok := target.(*rowView)
			if !ok {
				return nil, errors.New("not a row")
			}
			return cellValue(v, c, v.row.Values[i]), nil
		},
	}, true
}

func columnNames(t *schemas.Table) []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// cellValue is a cell as CEL takes it.
func cellValue(v *rowView, c schemas.Column, cell any) any {
	switch x := cell.(type) {
	case nil:
		return emptyCell(c.Type)
	case int64:
		if c.Type == schemas.Timestamp {
			return types.Timestamp{Time: time.UnixMicro(x).UTC()}
		}
		return types.Int(x)
	case schemas.Sealed:
		return secretOf(v, c.Name, x)
	case []schemas.Sealed:
		return secretList(v, c.Name, x)
	case map[string][]schemas.Sealed:
		m := make(map[string]ref.Val, len(x))
		for k, l := range x {
			m[k] = secretList(v, fmt.Sprintf("%s[%q]", c.Name, k), l)
		}
		return types.NewStringInterfaceMap(rowAdapter{}, anyMap(m))
	}
	return cell
}

func anyMap(m map[string]ref.Val) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func emptyCell(t schemas.Type) any {
	switch t {
	case schemas.Bool:
		return types.False
	case schemas.Int:
		return types.IntZero
	case schemas.String:
		return types.String("")
	case schemas.Binary:
		return types.Bytes{}
	case schemas.Strings:
		return []string{}
	case schemas.Binaries:
		return [][]byte{}
	case schemas.StringsMap:
		return map[string][]string{}
	case schemas.BinariesMap:
		return map[string][][]byte{}
	case schemas.Secrets:
		return types.NewRefValList(rowAdapter{}, nil)
	case schemas.SecretsMap:
		return types.NewStringInterfaceMap(rowAdapter{}, map[string]any{})
	}
	return types.NullValue
}

// rowAdapter turns Go values into CEL values and refuses rows as a whole, so
// that no conversion can reach a secret through one.
type rowAdapter struct{}

// NativeToValue implements types.Adapter.
func (rowAdapter) NativeToValue(value any) ref.Val {
	switch x := value.(type) {
	case *rowView:
		return types.NewErr("a row as a whole is no value: name a column")
	case schemas.Sealed, []schemas.Sealed, map[string][]schemas.Sealed:
		return types.NewErr("a secret is no value")
	case [][]byte:
		l := make([]ref.Val, len(x))
		for i, b := range x {
			l[i] = types.Bytes(b)
		}
		return types.NewRefValList(rowAdapter{}, l)
	}
	return types.DefaultTypeAdapter.NativeToValue(value)
}

// secret is a sealed value that an expression picked: where it stands, so that
// it can be opened later. Expressions can pass it on and nothing else.
type secret struct {
	Table  string
	Row    schemas.RowID
	Column string
	Sealed schemas.Sealed
}

func secretOf(v *rowView, column string, s schemas.Sealed) *secret {
	return &secret{Table: v.table.Name, Row: v.row.ID, Column: column, Sealed: s}
}

func secretList(v *rowView, column string, l []schemas.Sealed) ref.Val {
	out := make([]ref.Val, len(l))
	for i, s := range l {
		out[i] = secretOf(v, column, s)
	}
	return types.NewRefValList(rowAdapter{}, out)
}

var errSecret = errors.New("a secret can be handed on, never read")

// String keeps a secret out of messages.
func (*secret) String() string { return "(secret)" }

// ConvertToNative implements ref.Val.
func (*secret) ConvertToNative(reflect.Type) (any, error) { return nil, errSecret }

// ConvertToType implements ref.Val.
func (*secret) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return secretType
	}
	return types.WrapErr(errSecret)
}

// Equal implements ref.Val: comparing would read.
func (*secret) Equal(ref.Val) ref.Val { return types.WrapErr(errSecret) }

// Type implements ref.Val.
func (*secret) Type() ref.Type { return secretType }

// Value implements ref.Val.
func (s *secret) Value() any { return s }
