package transform

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/parallelrun/parallelrun/schemas"
)

// Aliases say which row a legacy key means where that is not the row of its own
// name: a key that changed in the source leads to the key that the row was first
// known by, so that the row id stays; a key that came back as another person
// leads to a key of its own. Nil has none. They are safe for concurrent use.
//
// Aliases follow each other: of a key that changed twice the newest leads to the
// oldest. No key has two aliases, no row is meant by two, and none go in a ring.
type Aliases struct {
	file  string
	list  []alias // by entity and legacy key
	byRow []int32 // positions in list, by entity and row key
	bytes int64
}

// alias leads from a key of legacy to the key of the row that it means.
type alias struct {
	entity      string
	legacy, row string
	line        int32  // of the file of aliases
	place       string // where it stands, if not in that file
}

// AliasEntities are the entities whose keys may have aliases.
var AliasEntities = []string{schemas.Organizations, schemas.Departments, schemas.Groups, schemas.Users}

// Another says that a users row is a former holder of its key, and that the key
// means another person now.
type Another struct {
	Key string // of the row
	// Place is file:line.
	Place string
}

// generationMark stands between a key and how often it was given out.
const generationMark = "#"

// AnotherKey is the row key of the next person that holds a key: "1042#2" after
// "1042", "1042#3" after that.
func AnotherKey(key string) string {
	former, n := generation(key)
	return former + generationMark + strconv.Itoa(n+1)
}

// FormerKey is the key that AnotherKey made a key from: "1042" of "1042#2".
func FormerKey(key string) (string, bool) {
	former, n := generation(key)
	if n > 2 {
		former += generationMark + strconv.Itoa(n-1)
	}
	return former, n > 1
}

// generation cuts a key in the key that legacy has and the count, from 1, of
// people who had it.
func generation(key string) (string, int) {
	at := strings.LastIndex(key, generationMark)
	if at <= 0 {
		return key, 1
	}
	n, err := strconv.Atoi(key[at+1:])
	if err != nil || n < 2 || strconv.Itoa(n) != key[at+1:] {
		return key, 1
	}
	return key[:at], n
}

// With adds the keys that came back as other people. The aliases that it is
// called on stay as they are.
func (a *Aliases) With(others []Another) (*Aliases, error) {
	if len(others) == 0 {
		return a, nil
	}
	out := &Aliases{}
	if a != nil {
		out.file, out.list, out.bytes = a.file, slices.Clone(a.list), a.bytes
	}
	for _, o := range others {
		out.list = append(out.list, alias{entity: schemas.Users, legacy: o.Key, row: AnotherKey(o.Key), place: o.Place})
	}
	if err := out.index(); err != nil {
		return nil, err
	}
	return out, nil
}

// index puts the aliases in order and checks that they lead somewhere.
func (a *Aliases) index() error {
	slices.SortStableFunc(a.list, func(x, y alias) int {
		return cmp.Or(strings.Compare(x.entity, y.entity), strings.Compare(x.legacy, y.legacy))
	})
	a.byRow = make([]int32, len(a.list))
	for i := range a.byRow {
		a.byRow[i] = int32(i)
	}
	slices.SortStableFunc(a.byRow, func(i, j int32) int {
		x, y := &a.list[i], &a.list[j]
		return cmp.Or(strings.Compare(x.entity, y.entity), strings.Compare(x.row, y.row))
	})
	var errs AliasErrors
	for i := 1; i < len(a.list); i++ {
		if x, y := &a.list[i-1], &a.list[i]; x.entity == y.entity && x.legacy == y.legacy {
			errs = append(errs, a.twice(x, y, y.legacy, "a key means one row: keep one of the two"))
		}
		if x, y := &a.list[a.byRow[i-1]], &a.list[a.byRow[i]]; x.entity == y.entity && x.row == y.row {
			errs = append(errs, a.twice(x, y, y.row, "a row has one key: keep one of the two, and let the mapping merge rows of one person"))
		}
	}
	if len(errs) == 0 {
		errs = a.rings()
	}
	return errs.err()
}

func (a *Aliases) twice(x, y *alias, key, next string) *AliasError {
	if x.line > y.line { // the later one is told
		x, y = y, x
	}
	return a.problem(y, fmt.Sprintf("%s key %q stands at %s as well", y.entity, key, a.place(x)), next)
}

// rings finds aliases that lead back to where they began. Each key has at most
// one alias into it and one out of it, so that a ring has no tail.
func (a *Aliases) rings() (errs AliasErrors) {
	seen := make([]bool, len(a.list))
	for i := range a.list {
		at := i
		for at >= 0 && !seen[at] {
			seen[at] = true
			if at = a.from(a.list[at].entity, a.list[at].row); at != i {
				continue
			}
			what := fmt.Sprintf("the aliases of %s key %q lead back to it", a.list[i].entity, a.list[i].legacy)
			if a.list[i].legacy == a.list[i].row {
				what = fmt.Sprintf("old and new %s key %q are the same", a.list[i].entity, a.list[i].legacy)
			}
			errs = append(errs, a.problem(&a.list[i], what, "old is the key that the row was known by, new the one that legacy has now: take the wrong one out"))
		}
	}
	return errs
}

// from is the position of the alias of a key, -1 for none.
func (a *Aliases) from(entity, key string) int {
	i, ok := slices.BinarySearchFunc(a.list, key, func(x alias, key string) int {
		return cmp.Or(strings.Compare(x.entity, entity), strings.Compare(x.legacy, key))
	})
	if !ok {
		return -1
	}
	return i
}

// to is the position of the alias that leads to a row, -1 for none.
func (a *Aliases) to(entity, row string) int {
	i, ok := slices.BinarySearchFunc(a.byRow, row, func(j int32, row string) int {
		return cmp.Or(strings.Compare(a.list[j].entity, entity), strings.Compare(a.list[j].row, row))
	})
	if !ok {
		return -1
	}
	return int(a.byRow[i])
}

// Len is how many aliases there are.
func (a *Aliases) Len() int {
	if a == nil {
		return 0
	}
	return len(a.list)
}

// Bytes is about how much memory they take.
func (a *Aliases) Bytes() int64 {
	const perAlias = 96
	if a == nil {
		return 0
	}
	return a.bytes + int64(len(a.list))*perAlias
}

// RowKey is the key of the row that a legacy key means.
func (a *Aliases) RowKey(entity, key string) string { return a.follow(entity, key, nil) }

// follow leads from a legacy key to a row's, and tells of each step.
func (a *Aliases) follow(entity, key string, step func(i int)) string {
	if a == nil {
		return key
	}
	for i := a.from(entity, key); i >= 0; i = a.from(entity, key) {
		if step != nil {
			step(i)
		}
		key = a.list[i].row
	}
	return key
}

// Leads says where the alias of a legacy key leads to, if it has one, and where
// that stands. Decided: it is a key that came back, as a person decided.
func (a *Aliases) Leads(entity, key string) (row, place string, decided, ok bool) {
	if a == nil {
		return key, "", false, false
	}
	i := a.from(entity, key)
	if i < 0 {
		return key, "", false, false
	}
	return a.RowKey(entity, key), a.place(&a.list[i]), a.list[i].place != "", true
}

// LegacyKeys are the keys under which legacy may have a row, the newest first:
// those that lead to it, and its own unless that means another row.
func (a *Aliases) LegacyKeys(entity, row string) []string {
	if a == nil {
		return []string{row}
	}
	var out []string
	for i := a.to(entity, row); i >= 0; i = a.to(entity, a.list[i].legacy) {
		out = append(out, a.list[i].legacy)
	}
	slices.Reverse(out)
	if a.from(entity, row) < 0 {
		out = append(out, row)
	}
	return out
}

// Places are where the aliases stand that lead to a row, in the order of
// LegacyKeys.
func (a *Aliases) Places(entity, row string) []string {
	if a == nil {
		return nil
	}
	var out []string
	for i := a.to(entity, row); i >= 0; i = a.to(entity, a.list[i].legacy) {
		out = append(out, a.place(&a.list[i]))
	}
	slices.Reverse(out)
	return out
}

// sameKey is what is said of two rows that have one key.
func (a *Aliases) sameKey(entity, row string) string {
	if places := a.Places(entity, row); len(places) > 0 {
		return fmt.Sprintf("the alias at %s makes it the row of another source row, which legacy still has: take the alias out, or exclude one of the two rows",
			strings.Join(places, ", "))
	}
	return "another source row has the same key: correct the key expression, exclude one, or correct the source"
}

func (a *Aliases) place(x *alias) string {
	if x.place != "" {
		return x.place
	}
	return fmt.Sprintf("%s:%d", a.file, x.line)
}

// AliasUse is what became of a migration's aliases in a run.
type AliasUse struct {
	Listed int64 `json:"listed"`
	Used   int64 `json:"used"`
	// Unused names the first that no row of legacy has the key of.
	Unused []UnusedAlias `json:"unused,omitempty"`
}

// UnusedAlias is an alias of a key that legacy does not have.
type UnusedAlias struct {
	Place  string `json:"place"` // file:line
	Entity string `json:"entity"`
	Key    string `json:"key"`
}

const maxUnusedAliases = 5

// aliasUse notes which aliases rows came by.
type aliasUse struct {
	*Aliases
	used []atomic.Bool
}

func newAliasUse(a *Aliases) *aliasUse {
	if a == nil {
		return nil
	}
	return &aliasUse{a, make([]atomic.Bool, len(a.list))}
}

// rowKey is RowKey, noted.
func (u *aliasUse) rowKey(entity, key string) string {
	if u == nil {
		return key
	}
	return u.follow(entity, key, func(i int) {
		if !u.used[i].Load() { // most are met once: spare the others the shared write
			u.used[i].Store(true)
		}
	})
}

// report counts what was used; nil without aliases.
func (u *aliasUse) report() *AliasUse {
	if u == nil {
		return nil
	}
	out := &AliasUse{Listed: int64(len(u.list))}
	var unused []*alias
	for i := range u.list {
		if u.used[i].Load() {
			out.Used++
		} else {
			unused = append(unused, &u.list[i])
		}
	}
	slices.SortStableFunc(unused, func(x, y *alias) int {
		return cmp.Or(cmp.Compare(x.line, y.line), strings.Compare(x.place, y.place))
	})
	for _, x := range unused[:min(len(unused), maxUnusedAliases)] {
		out.Unused = append(out.Unused, UnusedAlias{u.place(x), x.entity, x.legacy})
	}
	return out
}

// AliasError is something wrong with an alias: correct the line. Nothing was
// written.
type AliasError struct {
	File string
	Line int // from 1; zero: the file as a whole
	What string
	Next string
}

func (e *AliasError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.What
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What)
}

// Hint is the next step to take.
func (e *AliasError) Hint() string { return e.Next }

func (a *Aliases) problem(x *alias, what, next string) *AliasError {
	e := &AliasError{File: a.file, Line: int(x.line), What: what, Next: next}
	if x.place != "" {
		e.File, e.Line = x.place, 0
	}
	return e
}

// AliasErrors are what was found wrong with aliases.
type AliasErrors []*AliasError

func (es AliasErrors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single errors to errors.As and to printers.
func (es AliasErrors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

func (es AliasErrors) err() error {
	if len(es) == 0 {
		return nil
	}
	return es
}
