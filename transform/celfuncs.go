package transform

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/parallelrun/parallelrun/internal/dn"
)

// valueError is what a conversion says of a value it can't take: a rule's name
// and a sentence that never holds the value.
type valueError struct{ rule, message string }

func (e *valueError) Error() string { return e.message }

func refuse(rule, message string) ref.Val { return types.WrapErr(&valueError{rule, message}) }

// functions are the conversions that expressions have beside CEL's own and its
// string extension.
func functions() []cel.EnvOption {
	str, strs := cel.StringType, cel.ListType(cel.StringType)
	bytes, bytesList := cel.BytesType, cel.ListType(cel.BytesType)
	return []cel.EnvOption{
		cel.Function("lower", overload1("lower_string", str, str, onText(strings.ToLower)),
			overload1("lower_strings", strs, strs, onTexts(strings.ToLower))),
		cel.Function("upper", overload1("upper_string", str, str, onText(strings.ToUpper))),
		cel.Function("trim", overload1("trim_string", str, str, onText(strings.TrimSpace)),
			overload1("trim_strings", strs, strs, onTexts(strings.TrimSpace))),
		cel.Function("first",
			overload1("first_strings", strs, str, firstOr(types.String(""))),
			overload1("first_bytes", bytesList, bytes, firstOr(types.Bytes{})),
			overload1("first_secrets", cel.ListType(secretType), secretType, firstOr(types.NullValue))),
		cel.Function("join", overload2("join_strings", strs, str, str, joinTexts)),
		cel.Function("base64", overload1("base64_bytes", bytes, str, toBase64),
			overload1("base64_bytes_list", bytesList, strs, mapList(toBase64))),
		cel.Function("text", overload1("text_bytes", bytes, str, toText),
			overload1("text_bytes_list", bytesList, strs, mapList(toText))),
		cel.Function("generalizedTime", overload1("generalized_time_string", str, cel.TimestampType, generalizedTime)),
		cel.Function("epochDays", overload1("epoch_days_string", str, cel.TimestampType, epochDays),
			overload1("epoch_days_int", cel.IntType, cel.TimestampType, epochDays)),
		cel.Function("filetime", overload1("filetime_string", str, cel.TimestampType, fileTime),
			overload1("filetime_int", cel.IntType, cel.TimestampType, fileTime)),
		cel.Function("dnParent", overload1("dn_parent", str, str, dnParent)),
		cel.Function("dnValues", overload2("dn_values", str, str, strs, dnValues)),
		cel.Function("dnBelow", overload2("dn_below", str, str, cel.BoolType, dnBelow)),
	}
}

func overload1(id string, arg, result *cel.Type, f func(ref.Val) ref.Val) cel.FunctionOpt {
	return cel.Overload(id, []*cel.Type{arg}, result, cel.UnaryBinding(f))
}

func overload2(id string, a, b, result *cel.Type, f func(a, b ref.Val) ref.Val) cel.FunctionOpt {
	return cel.Overload(id, []*cel.Type{a, b}, result, cel.BinaryBinding(f))
}

func onText(f func(string) string) func(ref.Val) ref.Val {
	return func(v ref.Val) ref.Val {
		s, ok := v.(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(v)
		}
		return types.String(f(string(s)))
	}
}

func onTexts(f func(string) string) func(ref.Val) ref.Val { return mapList(onText(f)) }

func mapList(f func(ref.Val) ref.Val) func(ref.Val) ref.Val {
	return func(v ref.Val) ref.Val {
		l, ok := v.(traits.Lister)
		if !ok {
			return types.MaybeNoSuchOverloadErr(v)
		}
		var out []ref.Val
		for it := l.Iterator(); it.HasNext() == types.True; {
			x := f(it.Next())
			if types.IsError(x) {
				return x
			}
			out = append(out, x)
		}
		return types.NewRefValList(rowAdapter{}, out)
	}
}

// firstOr is a list's first value, or the given one for an empty list.
func firstOr(empty ref.Val) func(ref.Val) ref.Val {
	return func(v ref.Val) ref.Val {
		l, ok := v.(traits.Lister)
		if !ok {
			return types.MaybeNoSuchOverloadErr(v)
		}
		if l.Size() == types.IntZero {
			return empty
		}
		return l.Get(types.IntZero)
	}
}

func joinTexts(list, sep ref.Val) ref.Val {
	l, ok := list.(traits.Lister)
	s, ok2 := sep.(types.String)
	if !ok || !ok2 {
		return types.MaybeNoSuchOverloadErr(list)
	}
	var parts []string
	for it := l.Iterator(); it.HasNext() == types.True; {
		x, ok := it.Next().(types.String)
		if !ok {
			return types.MaybeNoSuchOverloadErr(list)
		}
		parts = append(parts, string(x))
	}
	return types.String(strings.Join(parts, string(s)))
}

func toBase64(v ref.Val) ref.Val {
	b, ok := v.(types.Bytes)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	return types.String(base64.StdEncoding.EncodeToString(b))
}

func toText(v ref.Val) ref.Val {
	b, ok := v.(types.Bytes)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	if !utf8.Valid(b) {
		return refuse(RuleInvalidUTF8, "the value is no valid UTF-8: use base64() for binary values, or correct it in the source")
	}
	return types.String(b)
}

// timeFormats are the spellings of LDAP's generalized time (RFC 4517 3.3.13),
// with minutes and seconds left out or not.
var timeFormats = []string{
	"20060102150405Z0700", "20060102150405.999999999Z0700", "200601021504Z0700", "2006010215Z0700",
	"20060102150405Z07", "200601021504Z07", "2006010215Z07",
}

func generalizedTime(v ref.Val) ref.Val {
	s, ok := v.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	if s == "" {
		return types.NullValue
	}
	text := strings.Replace(string(s), ",", ".", 1)
	for _, f := range timeFormats {
		if t, err := time.Parse(f, text); err == nil {
			return checkedTime(t.UTC())
		}
	}
	return refuse(RuleExpression, "the value is no generalized time such as 20240131120000Z")
}

// checkedTime holds timestamps within what CEL can calculate with.
func checkedTime(t time.Time) ref.Val {
	if t.Year() < 1 || t.Year() > 9999 {
		return refuse(RuleExpression, "the time lies outside the years 1 to 9999")
	}
	return types.Timestamp{Time: t}
}

func number(v ref.Val) (n int64, null bool, err error) {
	switch x := v.(type) {
	case types.Int:
		return int64(x), false, nil
	case types.String:
		if x == "" {
			return 0, true, nil
		}
		n, err := strconv.ParseInt(string(x), 10, 64)
		if err != nil {
			return 0, false, errors.New("not a number")
		}
		return n, false, nil
	}
	return 0, false, errors.New("not a number")
}

// epochDays reads days since 1970, as shadowExpire holds them; empty and
// negative mean never.
func epochDays(v ref.Val) ref.Val {
	n, null, err := number(v)
	if err != nil {
		return refuse(RuleExpression, "the value is no number of days")
	}
	if null || n < 0 {
		return types.NullValue
	}
	if n > 3_000_000 {
		return refuse(RuleExpression, "the time lies outside the years 1 to 9999")
	}
	return checkedTime(time.Unix(n*86400, 0).UTC())
}

// fileTime reads 100 ns since 1601, as Active Directory holds times; 0 and the
// largest number mean never.
func fileTime(v ref.Val) ref.Val {
	const toUnix = 11644473600
	n, null, err := number(v)
	if err != nil {
		return refuse(RuleExpression, "the value is no file time")
	}
	if null || n <= 0 || n == 1<<63-1 {
		return types.NullValue
	}
	return checkedTime(time.Unix(n/1e7-toUnix, n%1e7*100).UTC())
}

func parseDN(v ref.Val) (dn.DN, ref.Val) {
	s, ok := v.(types.String)
	if !ok {
		return nil, types.MaybeNoSuchOverloadErr(v)
	}
	d, err := dn.Parse(string(s))
	if err != nil {
		return nil, refuse(RuleExpression, "the value is no distinguished name")
	}
	return d, nil
}

func dnParent(v ref.Val) ref.Val {
	d, bad := parseDN(v)
	if bad != nil {
		return bad
	}
	if len(d) < 2 {
		return types.String("")
	}
	return types.String(d[1:].String())
}

// dnValues are the values of one attribute type in a DN, from the entry upwards.
func dnValues(v, typ ref.Val) ref.Val {
	d, bad := parseDN(v)
	if bad != nil {
		return bad
	}
	want, _ := typ.(types.String)
	out := []string{}
	for _, rdn := range d {
		for _, a := range rdn {
			if strings.EqualFold(a.Type, string(want)) {
				out = append(out, a.Value)
			}
		}
	}
	return types.NewStringList(rowAdapter{}, out)
}

func dnBelow(v, suffix ref.Val) ref.Val {
	d, bad := parseDN(v)
	if bad != nil {
		return bad
	}
	s, bad := parseDN(suffix)
	if bad != nil {
		return bad
	}
	return types.Bool(d.Below(s))
}
