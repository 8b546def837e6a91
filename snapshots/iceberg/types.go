package iceberg

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// field is a named part of a schema: a column, or an element, key, value or
// member of one.
type field struct {
	ID       int      `json:"id"`
	Name     string   `json:"name"`
	Required bool     `json:"required"`
	Type     dataType `json:"type"`
	Doc      string   `json:"doc,omitempty"`
}

// dataType is an Iceberg type. Elements, keys and values are fields of those
// names, as name mappings have it.
type dataType struct {
	name   string // of a primitive type, else list, map or struct
	fields []field
}

const (
	listType   = "list"
	mapType    = "map"
	structType = "struct"
)

func primitive(name string) dataType { return dataType{name: name} }

func listOf(element dataType, required bool) dataType {
	return dataType{listType, []field{{Name: "element", Type: element, Required: required}}}
}

func mapOf(value dataType) dataType {
	return dataType{mapType, []field{{Name: "key", Type: primitive("string"), Required: true}, {Name: "value", Type: value}}}
}

func structOf(fields ...field) dataType { return dataType{structType, fields} }

var (
	rowIDType  = primitive("fixed[16]")
	sealedType = structOf(field{Name: "mac", Type: rowIDType, Required: true}, field{Name: "box", Type: primitive("binary"), Required: true})
	largeType  = structOf(field{Name: "path", Type: primitive("string"), Required: true},
		field{Name: "sha256", Type: primitive("fixed[32]"), Required: true}, field{Name: "size", Type: primitive("long"), Required: true})
)

// typeOf is how Iceberg says what a column's Parquet type is (docs/format-parts.md).
func typeOf(t schemas.Type) (dataType, error) {
	switch t {
	case schemas.Bool:
		return primitive("boolean"), nil
	case schemas.Int:
		return primitive("long"), nil
	case schemas.Timestamp:
		return primitive("timestamptz"), nil
	case schemas.String:
		return primitive("string"), nil
	case schemas.Binary:
		return primitive("binary"), nil
	case schemas.Strings:
		return listOf(primitive("string"), false), nil
	case schemas.Binaries:
		return listOf(primitive("binary"), false), nil
	case schemas.StringsMap:
		return mapOf(listOf(primitive("string"), false)), nil
	case schemas.BinariesMap:
		return mapOf(listOf(primitive("binary"), false)), nil
	case schemas.Secret:
		return sealedType, nil
	case schemas.Secrets:
		return listOf(sealedType, false), nil
	case schemas.SecretsMap:
		return mapOf(listOf(sealedType, false)), nil
	}
	return dataType{}, fmt.Errorf("its type %q has no counterpart in Iceberg", t)
}

// String is the type without ids, to compare by and for messages.
func (t dataType) String() string {
	if len(t.fields) == 0 {
		return t.name
	}
	parts := make([]string, len(t.fields))
	for i, f := range t.fields {
		parts[i] = f.Type.String()
		if t.name == structType {
			parts[i] = f.Name + " " + parts[i]
		}
	}
	return t.name + "<" + strings.Join(parts, ", ") + ">"
}

type listJSON struct {
	Type            string   `json:"type"`
	ElementID       int      `json:"element-id"`
	Element         dataType `json:"element"`
	ElementRequired bool     `json:"element-required"`
}

type mapJSON struct {
	Type          string   `json:"type"`
	KeyID         int      `json:"key-id"`
	Key           dataType `json:"key"`
	ValueID       int      `json:"value-id"`
	Value         dataType `json:"value"`
	ValueRequired bool     `json:"value-required"`
}

type structJSON struct {
	Type   string  `json:"type"`
	Fields []field `json:"fields"`
}

// MarshalJSON writes the form that table metadata has.
func (t dataType) MarshalJSON() ([]byte, error) {
	switch t.name {
	case listType:
		e := t.fields[0]
		return json.Marshal(listJSON{t.name, e.ID, e.Type, e.Required})
	case mapType:
		k, v := t.fields[0], t.fields[1]
		return json.Marshal(mapJSON{t.name, k.ID, k.Type, v.ID, v.Type, v.Required})
	case structType:
		return json.Marshal(structJSON{t.name, t.fields})
	}
	return json.Marshal(t.name)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *dataType) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*t = dataType{}
		return json.Unmarshal(b, &t.name)
	}
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(b, &kind); err != nil {
		return err
	}
	switch kind.Type {
	case listType:
		var l listJSON
		err := json.Unmarshal(b, &l)
		*t = dataType{listType, []field{{ID: l.ElementID, Name: "element", Type: l.Element, Required: l.ElementRequired}}}
		return err
	case mapType:
		var m mapJSON
		err := json.Unmarshal(b, &m)
		*t = dataType{mapType, []field{{ID: m.KeyID, Name: "key", Type: m.Key, Required: true}, {ID: m.ValueID, Name: "value", Type: m.Value, Required: m.ValueRequired}}}
		return err
	case structType:
		var s structJSON
		err := json.Unmarshal(b, &s)
		*t = dataType{structType, s.Fields}
		return err
	}
	return fmt.Errorf("type %q", kind.Type)
}
