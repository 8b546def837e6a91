package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The real server reads JSON with Jackson, which is stricter than encoding/json in one way (field names match exactly, unknown
// ones are refused) and laxer in others (numbers and booleans stand for strings, "true" for true). These types and functions follow it.

// Reasons why a body cannot be read; each is answered in another way.
var (
	errSyntax = errors.New("not JSON")
	errShape  = errors.New("JSON of another shape")
)

// unknownField is a field that a representation does not have.
type unknownField struct {
	representation, field string
	column                int
}

func (e *unknownField) Error() string {
	return fmt.Sprintf("Invalid json representation for %s. Unrecognized field \"%s\" at line 1 column %d.", e.representation, e.field, e.column)
}

// fields maps the names of a representation's fields to their readers. nil reads nothing: a field that the server knows and does not use here.
type fields map[string]func(json.RawMessage) error

// parse reads the first JSON value of a body; what follows is ignored, as Jackson does.
func parse(body []byte) (json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, errSyntax
	}
	var raw json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&raw); err != nil {
		return nil, errSyntax
	}
	return raw, nil
}

// object reads an object's fields. The caller has handled null.
func object(raw json.RawMessage, representation string, known fields) error {
	if kind(raw) != '{' {
		return errShape
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return errSyntax
	}
	for name, value := range m {
		read, isKnown := known[name]
		if !isKnown {
			quoted, _ := json.Marshal(name)
			return &unknownField{representation, name, bytes.Index(raw, quoted) + len(quoted) + len(value) + 3}
		}
		if read == nil {
			continue
		}
		if err := read(value); err != nil {
			return err
		}
	}
	return nil
}

// kind is the first byte of a value: { [ " t f n or a digit.
func kind(raw json.RawMessage) byte {
	t := bytes.TrimLeft(raw, " \t\r\n")
	if len(t) == 0 {
		return 0
	}
	return t[0]
}

func isNull(raw json.RawMessage) bool { return kind(raw) == 'n' }

// scalarText is a scalar's text; not ok for objects and arrays.
func scalarText(raw json.RawMessage) (string, bool) {
	switch kind(raw) {
	case '"':
		var v string
		if json.Unmarshal(raw, &v) != nil {
			return "", false
		}
		return v, true
	case '{', '[', 0:
		return "", false
	}
	return strings.TrimSpace(string(raw)), true
}

// text reads a string; null leaves nil.
func text(to **string) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if isNull(raw) {
			*to = nil
			return nil
		}
		v, isScalar := scalarText(raw)
		if !isScalar {
			return errShape
		}
		*to = &v
		return nil
	}
}

// truth reads a boolean; null leaves nil.
func truth(to **bool) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		v, isScalar := scalarText(raw)
		if !isScalar {
			return errShape
		}
		var b bool
		switch kind(raw) {
		case 'n':
			*to = nil
			return nil
		case 't', 'f':
			b = v == "true"
		case '"':
			switch strings.TrimSpace(v) {
			case "true", "True", "TRUE":
				b = true
			case "false", "False", "FALSE":
			case "":
				*to = nil
				return nil
			default:
				return errShape
			}
		default:
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return errShape
			}
			b = n != 0
		}
		*to = &b
		return nil
	}
}

// whole reads an integer; fractions are cut, null leaves nil.
func whole(to **int64) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if isNull(raw) {
			*to = nil
			return nil
		}
		v, isScalar := scalarText(raw)
		if !isScalar || kind(raw) == 't' || kind(raw) == 'f' {
			return errShape
		}
		v = strings.TrimSpace(v)
		if v == "" && kind(raw) == '"' {
			*to = nil
			return nil
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			f, ferr := strconv.ParseFloat(v, 64)
			if ferr != nil || kind(raw) == '"' || math.Abs(f) > math.MaxInt64 {
				return errShape
			}
			n = int64(f)
		}
		*to = &n
		return nil
	}
}

// textPtrs reads an array of strings, whose elements may be null.
func textPtrs(to *[]*string) func(json.RawMessage) error {
	return each(func(raw json.RawMessage) error {
		var v *string
		if err := text(&v)(raw); err != nil {
			return err
		}
		*to = append(*to, v)
		return nil
	}, func() { *to = []*string{} })
}

// each reads an array, null as if absent; begin is called for an array, an empty one too.
func each(read func(json.RawMessage) error, begin func()) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if isNull(raw) {
			return nil
		}
		if kind(raw) != '[' {
			return errShape
		}
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) != nil {
			return errSyntax
		}
		begin()
		for _, e := range elements {
			if err := read(e); err != nil {
				return err
			}
		}
		return nil
	}
}

// textLists reads a map of lists of strings in the lax way that attributes have: a scalar is a list of one, what is no scalar reads as "".
// A list that is null, or holds nothing but one null, reads as absent. A null among others is an error that shows when it is written.
func textLists(to *map[string][]string, nullAmongOthers *bool) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if isNull(raw) {
			return nil
		}
		if kind(raw) != '{' {
			return errShape
		}
		var m map[string]json.RawMessage
		if json.Unmarshal(raw, &m) != nil {
			return errSyntax
		}
		*to = make(map[string][]string, len(m))
		for name, value := range m {
			switch kind(value) {
			case 'n':
				continue
			case '[':
			default:
				v, _ := scalarText(value)
				(*to)[name] = []string{v}
				continue
			}
			var elements []json.RawMessage
			if json.Unmarshal(value, &elements) != nil {
				return errSyntax
			}
			list := make([]string, 0, len(elements))
			for _, e := range elements {
				if isNull(e) {
					if len(elements) > 1 {
						*nullAmongOthers = true
					}
					continue
				}
				v, _ := scalarText(e)
				list = append(list, v)
			}
			(*to)[name] = list
		}
		return nil
	}
}

// decodeFailed is the answer of the ordinary endpoints to a body that cannot be read.
func decodeFailed(err error) reply {
	if unknown, isUnknown := errors.AsType[*unknownField](err); isUnknown {
		return fail(400, plainError{unknown.Error()})
	}
	if errors.Is(err, errSyntax) {
		return fail(400, oauthError{"invalid_request", "Cannot parse the JSON"})
	}
	return fail(400, oauthError{"unknown_error", "Cannot parse the JSON"})
}

// importDecodeFailed is the answer of partialImport to a body that cannot be read.
func importDecodeFailed() reply {
	return fail(500, oauthError{"unknown_error", "Cannot parse the JSON"})
}
