package transform

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"

	"github.com/parallelrun/parallelrun/schemas"
)

// costLimit bounds what one expression may cost on one row, in CEL's units
// (about one per step and a tenth per character looked at), so that no
// expression can hang a run.
const costLimit = 2_000_000

// want is the type that a place in the mapping takes.
type want uint8

const (
	wantText want = iota
	wantBool
	wantInt
	wantTime
	wantTexts     // a list of texts, or one text
	wantAttribute // text, list of texts, bool, int or timestamp
	wantTextsMap  // texts by name
	wantSecrets   // a secret or a list of them
	wantOrder     // text, number, bool or timestamp
)

var wantNames = map[want]string{
	wantText: "text (string)", wantBool: "true or false (bool)", wantInt: "a number (int)", wantTime: "a time (timestamp)",
	wantTexts:     "a list of texts, or one text (list(string) or string)",
	wantAttribute: "text, a list of texts, a bool, a number or a time",
	wantTextsMap:  "a map of names to texts or lists of texts (map(string, list(string)))",
	wantSecrets:   "a secret column, or a choice between secret columns",
	wantOrder:     "text, a number, a bool or a time",
}

// expr is a compiled expression.
type expr struct {
	source string
	// path and line say where in the mapping it stands.
	path string
	line int
	want want
	prg  cel.Program
	// constant holds the value of expressions that read nothing.
	constant any
	fixed    bool
	reads    reads
	cells    []cellRef // the cells it reads
}

// cellRef is a column, or one attribute of a catch-all column.
type cellRef struct {
	column int
	key    string
}

// compiler makes expressions of one legacy table.
type compiler struct {
	table *schemas.Table
	env   *cel.Env
	item  *cel.Env // with `item`
	ps    *problems
	root  string   // the row's name
	names []string // of variables, for hints
}

func newCompiler(t *schemas.Table, ps *problems) (*compiler, error) {
	reg, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	p := &provider{Provider: reg, tables: map[string]*schemas.Table{rowType(t.Name): t}}
	opts := []cel.EnvOption{
		cel.CustomTypeProvider(p), cel.CustomTypeAdapter(rowAdapter{}),
		cel.Variable("row", cel.ObjectType(rowType(t.Name))), cel.Variable("key", cel.StringType),
		cel.HomogeneousAggregateLiterals(), cel.EnableIdentifierEscapeSyntax(),
		cel.DefaultUTCTimeZone(true), cel.ExtendedValidations(),
		ext.Strings(ext.StringsVersion(3)),
	}
	env, err := cel.NewEnv(append(opts, functions()...)...)
	if err != nil {
		return nil, fmt.Errorf("expressions over table %s: %w", t.Name, err)
	}
	item, err := env.Extend(cel.Variable("item", cel.StringType))
	if err != nil {
		return nil, fmt.Errorf("expressions over table %s: %w", t.Name, err)
	}
	return &compiler{table: t, env: env, item: item, ps: ps, root: rowName, names: []string{rowName, "key"}}, nil
}

// compile type-checks an expression node; problems are noted and nil returned.
// The node is an expression in text form, or {constant: value}.
func (c *compiler) compile(n *node, path string, w want, item bool) *expr {
	if n == nil {
		return nil
	}
	if n.kind == mapNode {
		return c.constant(n.get("constant"), path, n.line, w)
	}
	env := c.env
	if item {
		env = c.item
	}
	ast, iss := env.Compile(n.text)
	if iss.Err() != nil {
		for _, e := range iss.Errors() {
			c.ps.list = append(c.ps.list, c.problem(n, path, e))
		}
		return nil
	}
	if msg, hint := mismatch(ast, w); msg != "" {
		c.ps.at(n, path, hint, "%s", msg)
		return nil
	}
	prg, err := env.Program(ast, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(1024))
	if err != nil {
		c.ps.at(n, path, "", "expression can't be prepared: %v", err)
		return nil
	}
	e := &expr{source: n.text, path: path, line: n.line, want: w, prg: prg, reads: readsOf(ast)}
	e.cells = c.cells(&e.reads)
	return e
}

func (c *compiler) cells(r *reads) []cellRef {
	var out []cellRef
	for i, col := range c.table.Columns {
		if r.has(col.Name, "") {
			out = append(out, cellRef{column: i})
		}
		for _, key := range slices.Sorted(maps.Keys(r.keys[col.Name])) {
			out = append(out, cellRef{i, key})
		}
	}
	return out
}

func (c *compiler) constant(n *node, path string, line int, w want) *expr {
	e := &expr{path: path, line: line, want: w, fixed: true}
	var err error
	if n == nil {
		err = errors.New("want {constant: value}")
	} else if e.constant, err = constantValue(n, w); err == nil {
		return e
	}
	c.ps.at(n, path, "", "wrong constant: %v", err)
	return nil
}

func constantValue(n *node, w want) (any, error) {
	v := n.plain()
	if l, ok := v.([]any); ok && (w == wantTexts || w == wantAttribute) {
		out := make([]string, len(l))
		for i := range l {
			out[i] = n.items[i].text
		}
		return out, nil
	}
	switch x := v.(type) {
	case bool:
		if w == wantBool {
			return x, nil
		}
	case int64:
		if w == wantInt {
			return x, nil
		}
	}
	switch {
	case n.kind != scalarNode:
	case w == wantText:
		return n.text, nil
	case w == wantTexts, w == wantAttribute:
		return []string{n.text}, nil
	}
	return nil, fmt.Errorf("this place takes %s", wantNames[w])
}

// problem turns a CEL error into one with the file's position and a hint.
func (c *compiler) problem(n *node, path string, e *cel.Error) Problem {
	line, col := e.Location.Line(), e.Location.Column()
	p := Problem{File: c.ps.file, Line: n.line, Column: n.column + col, Path: path, Message: cleanMessage(e.Message), Offset: offsetOf(n.text, line, col)}
	switch {
	case n.block:
		p.Line, p.Column = n.line+line, 1
	case line > 1:
		p.Line, p.Column = n.line+line-1, col+1
	}
	p.Hint = c.hint(e.Message)
	return p
}

// offsetOf is the number of characters before a CEL location (line from 1,
// column from 0).
func offsetOf(text string, line, col int) int {
	off := 0
	for i, l := range strings.SplitAfter(text, "\n") {
		if i == line-1 {
			break
		}
		off += utf8.RuneCountInString(l)
	}
	return off + col
}

func cleanMessage(m string) string {
	m = strings.ReplaceAll(m, " (in container '')", "")
	return strings.TrimSpace(m)
}

func (c *compiler) hint(message string) string {
	if _, name, ok := strings.Cut(message, "undefined field '"); ok {
		name, _, _ = strings.Cut(name, "'")
		h := nearHint(name, columnNames(c.table))
		rest := fmt.Sprintf("table %s has no column %s", c.table.Name, name)
		if c.table.Column(schemas.OtherColumn) >= 0 {
			rest += fmt.Sprintf("; attributes without a column are reached by %s.other[%q]", c.root, name)
		}
		return strings.TrimPrefix(h+"; "+rest, "; ")
	}
	if _, name, ok := strings.Cut(message, "undeclared reference to '"); ok {
		name, _, _ = strings.Cut(name, "'")
		if c.table.Column(name) >= 0 {
			return fmt.Sprintf("a column is written `%s.%s`; text stands between quotes", c.root, name)
		}
		return strings.TrimPrefix(nearHint(name, append(functionNames(c.env), c.names...))+"; text stands between quotes", "; ")
	}
	if strings.Contains(message, "found no matching overload") {
		return "the argument types do not fit: first(list) takes one value of a list, text(bytes) and base64(bytes) make text of binary"
	}
	if strings.Contains(message, "Syntax error") {
		return "see docs for expressions (CEL); put the whole expression between single quotes if it holds `: ` or ` #`"
	}
	return ""
}

func functionNames(env *cel.Env) []string {
	var names []string
	for name := range env.Functions() {
		if !strings.ContainsAny(name, "_@!") {
			names = append(names, name)
		}
	}
	return names
}

// mismatch says why an expression's type does not fit its place.
func mismatch(ast *cel.Ast, w want) (message, hint string) {
	t := ast.OutputType()
	if fits(t, w) {
		return "", ""
	}
	return fmt.Sprintf("the expression yields %s, this place takes %s", typeName(t), wantNames[w]), mismatchHint(t, w)
}

func typeName(t *cel.Type) string {
	return strings.ReplaceAll(cel.FormatCELType(t), "google.protobuf.Timestamp", "timestamp")
}

func mismatchHint(t *cel.Type, w want) string {
	isList := t.Kind() == types.ListKind
	switch {
	case holdsSecret(t):
		return "secrets go to credentials only"
	case w == wantSecrets:
		return "declare the column secret in the source's configuration, so that it is sealed from the first moment"
	case isList && t.Parameters()[0].Kind() == types.StringKind && w == wantText:
		return "take one value with first(...), or all with join(..., \", \")"
	case t.Kind() == types.BytesKind || isList && t.Parameters()[0].Kind() == types.BytesKind:
		return "make text of it with text(...) or base64(...)"
	case t.Kind() == types.StringKind && w == wantTime:
		return "read it with generalizedTime(...), timestamp(...), epochDays(...) or filetime(...)"
	case t.Kind() == types.StringKind && w == wantBool:
		return "compare it, as in row.x == \"TRUE\""
	case t.Kind() == types.DynKind:
		return "say the type, as in string(...)"
	}
	return ""
}

func holdsSecret(t *cel.Type) bool {
	return t.TypeName() == secretType.TypeName() || slices.ContainsFunc(t.Parameters(), holdsSecret)
}

func fits(t *cel.Type, w want) bool {
	k := t.Kind()
	if k == types.NullTypeKind {
		return true
	}
	switch w {
	case wantText:
		return k == types.StringKind
	case wantBool:
		return k == types.BoolKind
	case wantInt:
		return k == types.IntKind
	case wantTime:
		return k == types.TimestampKind
	case wantTexts:
		return k == types.StringKind || isTexts(t)
	case wantAttribute:
		return k == types.StringKind || k == types.BoolKind || k == types.IntKind || k == types.TimestampKind || isTexts(t)
	case wantTextsMap:
		return k == types.MapKind && t.Parameters()[0].Kind() == types.StringKind &&
			(t.Parameters()[1].Kind() == types.StringKind || isTexts(t.Parameters()[1]) || isEmptyParam(t.Parameters()[1]))
	case wantSecrets:
		return t.TypeName() == secretType.TypeName() ||
			k == types.ListKind && (t.Parameters()[0].TypeName() == secretType.TypeName() || isEmptyParam(t.Parameters()[0]))
	case wantOrder:
		return k == types.StringKind || k == types.IntKind || k == types.BoolKind || k == types.TimestampKind
	}
	return false
}

func isTexts(t *cel.Type) bool {
	return t.Kind() == types.ListKind && (t.Parameters()[0].Kind() == types.StringKind || isEmptyParam(t.Parameters()[0]))
}

// isEmptyParam is the element type of a bare `[]`.
func isEmptyParam(t *cel.Type) bool {
	return t.Kind() == types.DynKind || t.Kind() == types.TypeParamKind
}

// eval yields the Go value of the expression on a row: string, bool, int64,
// []string, map[string][]string, []*secret; times as int64 microseconds; nil
// for null and for empty text.
func (e *expr) eval(v *rowView) (any, error) {
	x, err := e.value(v)
	if v.trace != nil {
		v.trace.evaluated(e, v, x, err)
	}
	return x, err
}

func (e *expr) value(v *rowView) (any, error) {
	if e.fixed {
		return e.constant, nil
	}
	out, _, err := e.prg.Eval(v)
	if err != nil {
		return nil, evalError(err)
	}
	return goValue(out, e.want)
}

// evalError keeps of CEL's errors what is safe to show: their texts may hold
// values.
func evalError(err error) error {
	var ve *valueError
	if errors.As(err, &ve) {
		return ve
	}
	var cancelled interpreter.EvalCancelledError
	msg := "the expression failed on this row"
	switch text := err.Error(); {
	case errors.Is(err, errSecret):
		msg = errSecret.Error()
	case errors.As(err, &cancelled):
		return &valueError{RuleExpressionCost, "the expression costs too much on this row: simplify it"}
	case strings.Contains(text, "no such key"):
		msg = "the expression asks a map for a name that this row has not: ask first, as in \"x\" in row.other"
	case strings.Contains(text, "index out of bounds"):
		msg = "the expression asks a list for more values than this row has: use first(...) or size(...)"
	case strings.Contains(text, "no such overload"):
		msg = "the expression works on a value that this row has not: ask first, as in has(row.x)"
	case strings.Contains(text, "by zero"):
		msg = "the expression divides by zero"
	}
	return &valueError{RuleExpression, msg}
}

var errUnexpected = &valueError{RuleExpression, "the expression yields a value of another type on this row"}

func goValue(out ref.Val, w want) (any, error) {
	switch x := out.(type) {
	case types.Null:
		return nil, nil
	case types.String:
		if !utf8.ValidString(string(x)) {
			return nil, &valueError{RuleInvalidUTF8, "the value is no valid UTF-8"}
		}
		if x == "" {
			return nil, nil
		}
		if w == wantTexts || w == wantAttribute {
			return []string{string(x)}, nil
		}
		return string(x), nil
	case types.Bool:
		if w == wantAttribute {
			return []string{strconv.FormatBool(bool(x))}, nil
		}
		return bool(x), nil
	case types.Int:
		if w == wantAttribute {
			return []string{strconv.FormatInt(int64(x), 10)}, nil
		}
		return int64(x), nil
	case types.Timestamp:
		if w == wantAttribute {
			return []string{x.UTC().Format(time.RFC3339Nano)}, nil
		}
		return x.UnixMicro(), nil
	case *secret:
		return []*secret{x}, nil
	}
	return collection(out, w)
}

func collection(out ref.Val, w want) (any, error) {
	switch x := out.(type) {
	case traits.Mapper:
		return textsMap(x)
	case traits.Lister:
		if w == wantSecrets {
			return secrets(x)
		}
		return texts(x)
	}
	return nil, errUnexpected
}

// texts drops empty values: an empty text is no value.
func texts(l traits.Lister) (any, error) {
	out := []string{}
	for it := l.Iterator(); it.HasNext() == types.True; {
		s, ok := it.Next().(types.String)
		if !ok {
			return nil, errUnexpected
		}
		if !utf8.ValidString(string(s)) {
			return nil, &valueError{RuleInvalidUTF8, "a value is no valid UTF-8"}
		}
		if s != "" {
			out = append(out, string(s))
		}
	}
	return out, nil
}

func secrets(l traits.Lister) (any, error) {
	var out []*secret
	for it := l.Iterator(); it.HasNext() == types.True; {
		s, ok := it.Next().(*secret)
		if !ok {
			return nil, errUnexpected
		}
		out = append(out, s)
	}
	return out, nil
}

func textsMap(m traits.Mapper) (any, error) {
	out := map[string][]string{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		k, ok := it.Next().(types.String)
		if !ok {
			return nil, errUnexpected
		}
		v, err := goValue(m.Get(k), wantTexts)
		if err != nil {
			return nil, err
		}
		l, ok := v.([]string)
		if v != nil && !ok {
			return nil, errUnexpected
		}
		if len(l) > 0 {
			out[string(k)] = l
		}
	}
	return out, nil
}
