package load_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
)

var shapes = schemas.Entities()

// epoch is when test plans are made.
var epoch = time.Unix(1_700_000_000, 0).UTC()

// singular are the words for tables in test files.
var singular = map[string]string{
	"organization": schemas.Organizations, "department": schemas.Departments, "group": schemas.Groups,
	"user": schemas.Users, "membership": schemas.Memberships, "credential": schemas.Credentials,
}

// rowID is the row id behind a key of a test file. Keys of rows that belong to
// a user are "user/rest".
func rowID(table, key string) schemas.RowID {
	if user, rest, ok := strings.Cut(key, "/"); ok && (table == schemas.Memberships || table == schemas.Credentials) {
		return schemas.DependentRowID(schemas.NewRowID("test", schemas.Users, user), table, rest)
	}
	return schemas.NewRowID("test", table, key)
}

// row makes a row from "column=value" words: lists by commas, maps by
// "key:value|value", times in seconds after the tests' epoch, secrets by a word
// that stands for the plaintext, references by key.
func row(table, key string, words ...string) schemas.Row {
	t := shapes[table]
	r := schemas.Row{ID: rowID(table, key), Key: key, Values: make([]any, len(t.Columns))}
	if user, _, ok := strings.Cut(key, "/"); ok && t.DependsOn != "" {
		r.Values[t.Column("user")] = rowID(schemas.Users, user).String()
	}
	if table == schemas.Users {
		r.Values[t.Column("username")] = key
	}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		i := t.Column(name)
		if i < 0 {
			panic("no column " + name + " in " + table)
		}
		r.Values[i] = value1(&t.Columns[i], r.ID, value)
	}
	return r
}

func value1(c *schemas.Column, id schemas.RowID, s string) any {
	switch c.Type {
	case schemas.Bool:
		return s == "true"
	case schemas.Int, schemas.Timestamp:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			panic(err)
		}
		if c.Type == schemas.Timestamp {
			return epoch.Add(time.Duration(n) * time.Second).UnixMicro()
		}
		return n
	case schemas.String:
		if c.Refs != "" {
			return rowID(c.Refs, s).String()
		}
		if s == "TEMP" {
			return load.TemporaryName(id)
		}
		return s
	case schemas.Strings:
		out := []string{}
		for v := range strings.SplitSeq(s, ",") {
			if v != "" && c.Refs != "" {
				v = rowID(c.Refs, v).String()
			}
			if v != "" {
				out = append(out, v)
			}
		}
		return out
	case schemas.StringsMap:
		out := map[string][]string{}
		for e := range strings.SplitSeq(s, ";") {
			if k, v, ok := strings.Cut(e, ":"); ok {
				out[k] = strings.Split(v, "|")
			}
		}
		return out
	case schemas.Secret:
		sum := sha256.Sum256([]byte(id.String() + s))
		return schemas.Sealed{MAC: [16]byte(sum[:16]), Box: []byte("box of " + s)}
	}
	panic("no words for type " + c.Type.String())
}

// states are the three sides of a test, as a text file has them.
type states struct {
	base, desired *loadtest.State
	target        *loadtest.Target
	probes        []string // users to look at; nil: all that any side names
	structure     bool
	reach         load.Reach
	created       [][2]string // table and key of rows of base that we created
	decisions     []load.Decision
	adopt         load.AdoptRules
}

func newStates() *states {
	return &states{base: loadtest.NewState(load.BaseTables()), desired: loadtest.NewState(loadtest.DesiredTables()),
		target: loadtest.NewTarget(), structure: true}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// parse reads one side: a word for the table, the key, then columns.
func (s *states) parse(side, text string) {
	sc := bufio.NewScanner(strings.NewReader(text))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		table, isRow := singular[f[0]]
		switch {
		case f[0] == "unseen":
			s.structure = false
		case f[0] == "look":
			s.probes = append([]string{}, f[1:]...)
		case f[0] == "created":
			s.created = append(s.created, [2]string{singular[f[1]], f[2]})
		case side == "decisions":
			s.decide(f[0], singular[f[1]], f[2], f[3:])
		case f[0] == "wave":
			s.assign(f[1], f[2:]...)
		case f[0] == "foreign":
			r := row(schemas.Users, "", f[1:]...)
			r.ID = load.ForeignRowID(strings.Join(f, " "))
			s.target.Seed(schemas.Users, r)
		case f[0] == "foreign-organization":
			r := row(schemas.Organizations, "", f[1:]...)
			r.ID = load.ForeignRowID(strings.Join(f, " "))
			s.target.Seed(schemas.Organizations, r)
		case f[0] == "rejected":
			table := singular[f[1]]
			check(s.desired.WriteRow(context.Background(), schemas.RejectedTable(table), schemas.Row{ID: rowID(table, f[2]), Key: f[2], Values: []any{"rejected", nil, nil, nil, nil}}, -1))
		case !isRow:
			panic("no such word: " + f[0])
		case side == "base":
			check(s.base.WriteRow(context.Background(), table, row(table, f[1], f[2:]...), -1))
		case side == "desired":
			check(s.desired.WriteRow(context.Background(), table, row(table, f[1], f[2:]...), -1))
		default:
			s.target.Seed(table, row(table, f[1], f[2:]...))
		}
	}
}

// mapCreated puts the rows that we created into base's id map, with the ids
// that the target gave them.
func (s *states) mapCreated() {
	ids := s.target.IDs()
	for _, c := range s.created {
		id := rowID(c[0], c[1])
		target, ok := ids[id]
		if !ok {
			target = s.target.UserID(id)
		}
		e := schemas.Row{ID: id, Key: c[1], Values: []any{c[0], target, load.OriginCreated, "before"}}
		check(s.base.WriteRow(context.Background(), schemas.IDMap, e, -1))
	}
	s.created = nil
}

// decide takes a side on a row, or on one field of it. An account to adopt is
// named by the words of its line.
func (s *states) decide(take, table, key string, rest []string) {
	d := load.Decision{Table: table, ID: rowID(table, key), Key: key, Take: load.Take(take), Place: fmt.Sprintf("decisions:%d", len(s.decisions)+1)}
	switch d.Take {
	case load.TakeNew:
		d.Other = rowID(table, rest[0])
	case load.TakeAdopt:
		d.Account = s.target.UserID(load.ForeignRowID(strings.Join(append([]string{"foreign"}, rest...), " ")))
	default:
		d.Fields = rest
	}
	s.decisions = append(s.decisions, d)
}

// assign puts users into a wave.
func (s *states) assign(wave string, users ...string) {
	if s.reach.Assignment == nil {
		s.reach.Assignment = loadtest.NewState([]schemas.Table{schemas.WaveAssignmentTable()})
	}
	for _, u := range users {
		row := schemas.Row{ID: rowID(schemas.Users, u), Key: u, Values: []any{wave, "by hand", nil}}
		check(s.reach.Assignment.(*loadtest.State).WriteRow(context.Background(), schemas.WaveAssignment, row, -1))
	}
}

// observe looks at the target.
func (s *states) observe(tb testing.TB) *loadtest.State {
	tb.Helper()
	s.mapCreated()
	out := loadtest.NewState(load.ObservedTables(loadtest.Profile()))
	ids := must(load.ReadIDMap(tb.Context(), s.base))
	users := load.Adopting(load.Probes(tb.Context(), s.target, s.base, s.desired, s.reach, s.adopt), s.decisions)
	if s.probes != nil {
		all := users
		users = func(yield func(load.UserProbe, error) bool) {
			for p, err := range all {
				for _, want := range s.probes {
					if p.Key == want && !yield(p, err) {
						return
					}
				}
			}
		}
	}
	in := load.ObserveInput{Target: s.target, Profile: loadtest.Profile(), IDs: ids, Users: users, Structure: s.structure, Foreign: true, Adopt: s.adopt}
	if _, err := load.Observe(tb.Context(), in, out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// planned is a plan with what it was made from.
type planned struct {
	*load.Manifest
	files     *loadtest.Files
	effective *loadtest.State
	observed  *loadtest.State
}

func (s *states) plan(tb testing.TB, run string, o load.PlanOptions) planned {
	tb.Helper()
	p := planned{files: &loadtest.Files{}, effective: loadtest.NewState(load.EffectiveTables()), observed: s.observe(tb)}
	if o.Time.IsZero() {
		o.Time = epoch.Add(100 * time.Second)
	}
	o.Decisions = s.decisions
	m, err := load.Plan(tb.Context(), load.PlanInput{
		Run: run, TargetName: "live", Base: s.base, Desired: s.desired, Observed: p.observed,
		Target: s.target, Profile: s.target.Kept, Files: p.files, Options: o, Reach: s.reach,
	}, p.effective)
	if err != nil {
		tb.Fatal(err)
	}
	if err := m.Seal(tb.Context(), p.files, p.effective.Digest()); err != nil {
		tb.Fatal(err)
	}
	p.Manifest = m
	return p
}

// load carries the plan out with the tests' fast policy.
func (s *states) load(tb testing.TB, p planned, o load.LoadOptions) (*load.Result, error) {
	o.Retry = load.FastPolicy()
	return load.Load(tb.Context(), s.loadInput(tb, p, o))
}

func (s *states) loadInput(tb testing.TB, p planned, o load.LoadOptions) load.LoadInput {
	return load.LoadInput{Plan: p.Manifest, Base: s.base, Effective: p.effective, TargetName: "live", Target: s.target,
		Profile: loadtest.Profile(), Files: p.files, LedgerDir: tb.TempDir(), Options: o}
}

// fold makes the next base from what was shipped.
func (s *states) fold(tb testing.TB, p planned) *loadtest.State {
	tb.Helper()
	ledger, err := load.ReadLedger(tb.Context(), p.files, p.Manifest)
	if err != nil {
		tb.Fatal(err)
	}
	next := loadtest.NewState(load.BaseTables())
	_, err = load.Fold(tb.Context(), load.FoldInput{Plan: p.Manifest, Files: p.files, Ledger: ledger, Base: s.base, Effective: p.effective, UserID: s.target.UserID}, next)
	if err != nil {
		tb.Fatal(err)
	}
	return next
}

// words writes a row of a snapshot as the test files do.
func words(table string, r schemas.Row, names map[string]string) string {
	t := shapes[table]
	var out []string
	for i, c := range t.Columns {
		if r.Values[i] == nil || c.Name == "user" && t.DependsOn != "" || c.Name == "username" && r.Values[i] == r.Key {
			continue
		}
		out = append(out, c.Name+"="+word(&c, r.Values[i], names))
	}
	return strings.Join(out, " ")
}

func word(c *schemas.Column, v any, names map[string]string) string {
	name := func(s string) string {
		if n, ok := names[s]; ok && c.Refs != "" {
			return n
		}
		return s
	}
	switch x := v.(type) {
	case int64:
		if c.Type == schemas.Timestamp {
			return fmt.Sprint(time.UnixMicro(x).UTC().Sub(epoch).Seconds())
		}
	case string:
		if rest, ok := strings.CutSuffix(x, "@parallelrun.invalid"); ok && len(rest) == 32 {
			return "TEMP"
		}
		return name(x)
	case []string:
		list := make([]string, len(x))
		for i, s := range x {
			list[i] = name(s)
		}
		return strings.Join(list, ",")
	case schemas.Sealed:
		return strings.TrimPrefix(string(x.Box), "box of ")
	}
	return fmt.Sprint(v)
}
