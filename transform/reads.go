package transform

import (
	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/parallelrun/parallelrun/schemas"
)

// reads says which parts of a row expressions look at.
type reads struct {
	columns map[string]bool
	// firsts are columns of which only the first value, or that there is one,
	// is looked at.
	firsts map[string]bool
	// keys of the catch-all columns that are asked for by name; a catch-all in
	// columns is read as a whole.
	keys map[string]map[string]bool
	// names of variables other than the row.
	names map[string]bool
	// row is the name of the variable that is the row.
	row string
}

func (r *reads) column(name string) {
	if r.columns == nil {
		r.columns = map[string]bool{}
	}
	r.columns[name] = true
}

func (r *reads) first(name string) {
	if r.firsts == nil {
		r.firsts = map[string]bool{}
	}
	r.firsts[name] = true
}

func (r *reads) key(column, key string) {
	if r.keys == nil {
		r.keys = map[string]map[string]bool{}
	}
	if r.keys[column] == nil {
		r.keys[column] = map[string]bool{}
	}
	r.keys[column][key] = true
}

func (r *reads) add(o reads) {
	for c := range o.columns {
		r.column(c)
	}
	for c := range o.firsts {
		r.first(c)
	}
	for c, ks := range o.keys {
		for k := range ks {
			r.key(c, k)
		}
	}
}

// has reports whether the value stored under name in column (name empty for a
// whole column) is read.
func (r *reads) has(column, name string) bool {
	return r.columns[column] || r.firsts[column] || name != "" && r.keys[column][name]
}

// whole reports whether all values of a column are looked at.
func (r *reads) whole(column string) bool { return r.columns[column] }

func readsOf(a *cel.Ast) reads { return readsOfRow(a, rowName) }

// rowName is the row's name in mappings.
const rowName = "row"

// readsOfRow is readsOf where the row has another name.
func readsOfRow(a *cel.Ast, row string) reads {
	r := reads{row: row, names: map[string]bool{}}
	r.walk(a.NativeRep().Expr())
	return r
}

func (r *reads) walk(e celast.Expr) {
	if e == nil {
		return
	}
	switch e.Kind() {
	case celast.IdentKind:
		r.names[e.AsIdent()] = true
	case celast.SelectKind:
		r.selects(e.AsSelect())
	case celast.CallKind:
		r.call(e.AsCall())
	case celast.ListKind:
		for _, x := range e.AsList().Elements() {
			r.walk(x)
		}
	case celast.MapKind:
		for _, x := range e.AsMap().Entries() {
			r.walk(x.AsMapEntry().Key())
			r.walk(x.AsMapEntry().Value())
		}
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		for _, x := range []celast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
			r.walk(x)
		}
	}
}

func (r *reads) selects(s celast.SelectExpr) {
	if r.isRow(s.Operand()) {
		if s.IsTestOnly() {
			r.first(s.FieldName())
		} else {
			r.column(s.FieldName())
		}
		return
	}
	if catchAll, ok := r.catchAllOf(s.Operand()); ok {
		r.key(catchAll, s.FieldName())
		return
	}
	r.walk(s.Operand())
}

func (r *reads) call(c celast.CallExpr) {
	args := c.Args()
	if c.FunctionName() == operators.Index && len(args) == 2 {
		if r.constantKey(args[0], args[1]) {
			return
		}
	}
	if c.FunctionName() == "first" && len(args) == 1 && args[0].Kind() == celast.SelectKind && r.isRow(args[0].AsSelect().Operand()) {
		r.first(args[0].AsSelect().FieldName())
		return
	}
	if c.FunctionName() == operators.In && len(args) == 2 && r.constantKey(args[1], args[0]) {
		return
	}
	if c.IsMemberFunction() {
		r.walk(c.Target())
	}
	for _, a := range args {
		r.walk(a)
	}
}

// constantKey notes row.other["x"] and "x" in row.other.
func (r *reads) constantKey(m, key celast.Expr) bool {
	column, ok := r.catchAllOf(m)
	if !ok || key.Kind() != celast.LiteralKind {
		return false
	}
	name, ok := key.AsLiteral().(types.String)
	if ok {
		r.key(column, string(name))
	}
	return ok
}

func (r *reads) isRow(e celast.Expr) bool {
	return e.Kind() == celast.IdentKind && e.AsIdent() == r.row
}

func (r *reads) catchAllOf(e celast.Expr) (string, bool) {
	if e.Kind() != celast.SelectKind || !r.isRow(e.AsSelect().Operand()) {
		return "", false
	}
	name := e.AsSelect().FieldName()
	return name, name == schemas.OtherColumn || name == schemas.OtherSealedColumn
}
