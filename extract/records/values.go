package records

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

// errMisfit: the values are sound but do not fit the column's type.
var errMisfit = errors.New("does not fit the column's type")

var decoders = map[string]func([]byte) ([]byte, error){
	"": decode64(base64.StdEncoding), "base64": decode64(base64.StdEncoding), "base64url": decode64(base64.RawURLEncoding),
	"hex": func(b []byte) ([]byte, error) {
		out := make([]byte, hex.DecodedLen(len(b)))
		_, err := hex.Decode(out, b)
		return out, err
	},
}

// decode64 takes padding or leaves it, but no line breaks, which it would lose.
func decode64(e *base64.Encoding) func([]byte) ([]byte, error) {
	e = e.WithPadding(base64.NoPadding).Strict()
	return func(b []byte) ([]byte, error) {
		if bytes.ContainsAny(b, "\r\n") {
			return nil, errMisfit
		}
		if len(b)%4 == 0 {
			b = bytes.TrimRight(b, "=")
		}
		out := make([]byte, e.DecodedLen(len(b)))
		n, err := e.Decode(out, b)
		return out[:n], err
	}
}

// layout is how a timestamp is written.
type layout struct {
	text string        // Go's reference time; empty: a number
	unit time.Duration // of a number since 1970
}

var namedLayouts = map[string]layout{
	"rfc3339": {text: time.RFC3339Nano}, "date": {text: time.DateOnly},
	"unix": {unit: time.Second}, "unixMilli": {unit: time.Millisecond}, "unixMicro": {unit: time.Microsecond},
}

func parseLayouts(names []string) ([]layout, error) {
	if len(names) == 0 {
		return []layout{namedLayouts["rfc3339"]}, nil
	}
	var out []layout
	for _, n := range names {
		l, ok := namedLayouts[n]
		if !ok {
			l = layout{text: n}
			// A layout without the reference time's year would read every date as 0000.
			if !strings.Contains(n, "2006") && !strings.Contains(n, "06") {
				return nil, fmt.Errorf("layout %q has no year: write Go's reference time (02.01.2006 15:04:05), or rfc3339, date, unix, unixMilli or unixMicro", n)
			}
		}
		out = append(out, l)
	}
	return out, nil
}

func (c *column) time(v []byte) (int64, error) {
	for _, l := range c.layouts {
		if l.text == "" {
			n, err := strconv.ParseInt(string(v), 10, 64)
			per := int64(l.unit / time.Microsecond)
			if err == nil && n <= math.MaxInt64/per && n >= math.MinInt64/per {
				return n * per, nil
			}
			continue
		}
		t, err := time.ParseInLocation(l.text, string(v), c.zone)
		if err == nil && t.Nanosecond()%1000 == 0 { // finer would be lost
			return t.UnixMicro(), nil
		}
	}
	return 0, errMisfit
}

// cell converts the values of a field, none of them null, to the column's Go
// type (see schemas.Type), secrets excepted. What it accepts it holds without
// loss. Values may share memory with the record.
func (c *column) cell(values [][]byte) (any, error) {
	switch c.typ {
	case schemas.Strings:
		out := make([]string, len(values))
		for i, v := range values {
			out[i] = string(v)
		}
		return out, nil
	case schemas.Binaries:
		out := make([][]byte, len(values))
		for i, v := range values {
			b, err := c.decode(v)
			if err != nil {
				return nil, errMisfit
			}
			out[i] = b
		}
		return out, nil
	}
	if len(values) != 1 {
		return nil, errMisfit
	}
	return c.single(values[0])
}

func (c *column) single(v []byte) (any, error) {
	switch c.typ {
	case schemas.String:
		return string(v), nil
	case schemas.Binary:
		b, err := c.decode(v)
		if err != nil {
			return nil, errMisfit
		}
		return b, nil
	}
	return nil, errMisfit // numbers, times and bools that fit have been taken: see worker.plain
}

func (c *column) word(v []byte) (is, ok bool) {
	if is, ok = c.words[string(v)]; !ok {
		is, ok = c.words[strings.ToLower(string(v))]
	}
	return is, ok
}

// parseInt takes a number that its digits are written plainly: "007" would come
// back as another text.
func parseInt(v []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	var buf [20]byte
	return n, err == nil && bytes.Equal(strconv.AppendInt(buf[:0], n, 10), v)
}
