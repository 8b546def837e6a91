package transform

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/parallelrun/parallelrun/schemas"
)

// Predicate is a CEL expression over one row of a table, or several states of
// one, that yields true or false: what mappings can say of a row, for others to
// ask. It is safe for concurrent use.
type Predicate struct {
	prg  cel.Program
	vars PredicateVars
	// columns of the table that it reads, and the lists it names.
	columns, lists []string
}

// PredicateVars are the names that a predicate's expression knows beside `key`,
// the row's legacy key.
type PredicateVars struct {
	Row   string   // the row, typed by Table
	Rows  []string // further states of the row, as Row
	Table *schemas.Table
	Texts []string
	Lists []string // lists of texts
}

// PredicateValues are what the names of PredicateVars stand for. A row whose
// Values are nil is one that is not there: everything of it reads as empty.
type PredicateValues struct {
	Key   string
	Rows  map[string]schemas.Row
	Texts map[string]string
	Lists map[string][]string
}

// rows are the names of all rows.
func (v *PredicateVars) rows() []string { return append([]string{v.Row}, v.Rows...) }

// PredicateError means that an expression can't be used: correct it.
type PredicateError struct {
	Message string
	// Offset is where the expression goes wrong, in characters from its start;
	// -1: nowhere in particular.
	Offset int
	Next   string
}

func (e *PredicateError) Error() string {
	if e.Offset < 0 {
		return e.Message
	}
	return fmt.Sprintf("%s (at offset %d of the expression)", e.Message, e.Offset)
}

// Hint is the next step to take.
func (e *PredicateError) Hint() string { return e.Next }

// CompilePredicate type-checks an expression; its error is a *PredicateError
// about the first thing that is wrong.
func CompilePredicate(source string, v PredicateVars) (*Predicate, error) {
	env, err := predicateEnv(v)
	if err != nil {
		return nil, fmt.Errorf("expressions over table %s: %w", v.Table.Name, err)
	}
	ast, iss := env.Compile(source)
	if iss.Err() != nil {
		e := iss.Errors()[0]
		c := compiler{table: v.Table, env: env, root: v.Row, names: slices.Concat(v.rows(), []string{"key"}, v.Texts, v.Lists)}
		return nil, &PredicateError{Message: cleanMessage(e.Message), Offset: offsetOf(source, e.Location.Line(), e.Location.Column()), Next: c.hint(e.Message)}
	}
	// null passes where a mapping wants a bool; a decision needs a yes or a no.
	if ast.OutputType().Kind() != types.BoolKind {
		return nil, &PredicateError{Offset: -1, Next: v.reword(mismatchHint(ast.OutputType(), wantBool)),
			Message: fmt.Sprintf("the expression yields %s, this place takes %s", typeName(ast.OutputType()), wantNames[wantBool])}
	}
	prg, err := env.Program(ast, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(1024))
	if err != nil {
		return nil, &PredicateError{Message: fmt.Sprintf("expression can't be prepared: %v", err), Offset: -1}
	}
	r := readsOfRow(ast, v.Row)
	columns := maps.Clone(r.columns)
	if columns == nil {
		columns = map[string]bool{}
	}
	maps.Copy(columns, r.firsts)
	p := &Predicate{prg: prg, vars: v, columns: slices.Sorted(maps.Keys(columns))}
	for _, l := range v.Lists {
		if r.names[l] {
			p.lists = append(p.lists, l)
		}
	}
	return p, nil
}

func predicateEnv(v PredicateVars) (*cel.Env, error) {
	reg, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	name := "row." + v.Table.Name
	p := &provider{Provider: reg, tables: map[string]*schemas.Table{name: v.Table}}
	opts := []cel.EnvOption{
		cel.CustomTypeProvider(p), cel.CustomTypeAdapter(rowAdapter{}),
		cel.Variable("key", cel.StringType),
		cel.HomogeneousAggregateLiterals(), cel.EnableIdentifierEscapeSyntax(),
		cel.DefaultUTCTimeZone(true), cel.ExtendedValidations(),
		ext.Strings(ext.StringsVersion(3)),
	}
	for _, r := range v.rows() {
		opts = append(opts, cel.Variable(r, cel.ObjectType(name)))
	}
	for _, t := range v.Texts {
		opts = append(opts, cel.Variable(t, cel.StringType))
	}
	for _, l := range v.Lists {
		opts = append(opts, cel.Variable(l, cel.ListType(cel.StringType)))
	}
	return cel.NewEnv(append(opts, functions()...)...)
}

// Columns are the columns that the expression reads.
func (p *Predicate) Columns() []string { return p.columns }

// Lists are the lists that the expression names.
func (p *Predicate) Lists() []string { return p.lists }

// Holds evaluates the expression on a row, whose values align with the table's
// columns; those that it does not read may be nil. lists has the lists that it
// names. An error's text never holds a value of the row.
func (p *Predicate) Holds(row schemas.Row, lists map[string][]string) (bool, error) {
	return p.HoldsOf(PredicateValues{Key: row.Key, Rows: map[string]schemas.Row{p.vars.Row: row}, Lists: lists})
}

// HoldsOf is Holds where the expression knows several rows, or texts.
func (p *Predicate) HoldsOf(v PredicateValues) (bool, error) {
	out, _, err := p.prg.Eval(&predicateRow{table: p.vars.Table, vars: p.vars, values: v})
	if err != nil {
		return false, errors.New(p.vars.reword(evalError(err).Error()))
	}
	holds, ok := out.(types.Bool)
	if !ok {
		return false, errUnexpected
	}
	return bool(holds), nil
}

// reword makes the advice of mappings, which speaks of `row`, fit.
func (v PredicateVars) reword(text string) string {
	if i := slices.IndexFunc(v.Table.Columns, func(c schemas.Column) bool { return c.Type == schemas.StringsMap }); i >= 0 {
		text = strings.ReplaceAll(text, "row."+schemas.OtherColumn, "row."+v.Table.Columns[i].Name)
	}
	return strings.ReplaceAll(text, "row.", v.Row+".")
}

// predicateRow is what the expression's names stand for.
type predicateRow struct {
	table  *schemas.Table
	vars   PredicateVars
	values PredicateValues
}

// ResolveName implements cel.Activation.
func (r *predicateRow) ResolveName(name string) (any, bool) {
	switch {
	case name == r.vars.Row, slices.Contains(r.vars.Rows, name):
		row := r.values.Rows[name]
		if row.Values == nil {
			row.Values = make([]any, len(r.table.Columns))
		}
		return &rowView{table: r.table, row: row}, true
	case name == "key":
		return r.values.Key, true
	case slices.Contains(r.vars.Texts, name):
		return r.values.Texts[name], true
	case slices.Contains(r.vars.Lists, name):
		return append([]string{}, r.values.Lists[name]...), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (r *predicateRow) Parent() cel.Activation { return nil }

// NearHint suggests the names that look most like a wrong one, empty if there
// is nothing to say.
func NearHint(wrong string, names []string) string { return nearHint(wrong, names) }
