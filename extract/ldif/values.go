package ldif

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/schemas"
)

// errMisfit: the values are sound but do not fit the column's type.
var errMisfit = errors.New("does not fit the column's type")

// errNotText: a value of a text attribute is not UTF-8.
var errNotText = errors.New("not UTF-8")

// cell converts the values of one attribute, at least one, to the column's
// type. What it accepts it holds without loss.
func cell(typ schemas.Type, values [][]byte) (any, error) {
	switch typ {
	case schemas.Strings:
		return texts(values)
	case schemas.Binaries:
		return values, nil
	}
	if typ != schemas.Binary {
		for _, v := range values {
			if !utf8.Valid(v) {
				return nil, errNotText
			}
		}
	}
	if len(values) > 1 {
		return nil, errMisfit
	}
	return single(typ, values[0])
}

func texts(values [][]byte) (any, error) {
	out := make([]string, len(values))
	for i, v := range values {
		if !utf8.Valid(v) {
			return nil, errNotText
		}
		out[i] = string(v)
	}
	return out, nil
}

func single(typ schemas.Type, v []byte) (any, error) {
	switch typ {
	case schemas.String:
		return string(v), nil
	case schemas.Binary:
		return v, nil
	case schemas.Bool:
		return parseBool(string(v))
	case schemas.Int:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != string(v) {
			return nil, errMisfit // "007" would come back as another text
		}
		return n, nil
	case schemas.Timestamp:
		return parseTime(string(v))
	}
	return nil, errMisfit
}

func parseBool(s string) (any, error) {
	switch {
	case strings.EqualFold(s, "TRUE"):
		return true, nil
	case strings.EqualFold(s, "FALSE"):
		return false, nil
	}
	return nil, errMisfit
}

// parseTime reads LDAP's generalized time (RFC 4517, 3.3.13) into microseconds
// since 1970: YYYYMMDDHH, then minutes and seconds or not, a fraction of the
// last unit given, and a zone, which is not optional.
func parseTime(s string) (any, error) {
	digits := leadingDigits(s)
	layout := map[int]string{10: "2006010215", 12: "200601021504", 14: "20060102150405"}[digits]
	unit := map[int]time.Duration{10: time.Hour, 12: time.Minute, 14: time.Second}[digits]
	if layout == "" {
		return nil, errMisfit
	}
	base, err := time.Parse(layout, s[:digits])
	if err != nil {
		return nil, errMisfit
	}
	fraction, rest, ok := timeFraction(s[digits:], unit)
	if !ok {
		return nil, errMisfit
	}
	zone, ok := timeZone(rest)
	if !ok {
		return nil, errMisfit
	}
	return base.Add(fraction).Add(-zone).UnixMicro(), nil
}

func leadingDigits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// timeFraction reads ".5" or ",5" of a unit; finer than a microsecond is
// refused, because the column would lose it.
func timeFraction(s string, unit time.Duration) (time.Duration, string, bool) {
	if s == "" || s[0] != '.' && s[0] != ',' {
		return 0, s, true
	}
	n := leadingDigits(s[1:])
	if n == 0 || n > 9 {
		return 0, s, false
	}
	num, err := strconv.ParseInt(s[1:1+n], 10, 64)
	if err != nil {
		return 0, s, false
	}
	scale := int64(1)
	for range n {
		scale *= 10
	}
	whole := num * int64(unit/time.Microsecond) // at most 1e9 * 3.6e9: fits
	if whole%scale != 0 {
		return 0, s, false
	}
	return time.Duration(whole/scale) * time.Microsecond, s[1+n:], true
}

func timeZone(s string) (time.Duration, bool) {
	if s == "Z" || s == "z" {
		return 0, true
	}
	if len(s) != 3 && len(s) != 5 || s[0] != '+' && s[0] != '-' || leadingDigits(s[1:]) != len(s)-1 {
		return 0, false
	}
	hours, minutes := int(s[1]-'0')*10+int(s[2]-'0'), 0
	if len(s) == 5 {
		minutes = int(s[3]-'0')*10 + int(s[4]-'0')
	}
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	d := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		d = -d
	}
	return d, true
}
