package pipelines

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
	"github.com/parallelrun/parallelrun/transform"
)

// ExplainOptions say what to explain.
type ExplainOptions struct {
	// Table is an entity or a legacy table.
	Table string
	// Key is a legacy key; for users also username=... or email=...
	Key string
	// Run is a run's id or its first digits; empty: the latest that has a plan.
	Run string
	// TargetNow: read the row from the target as it is now, too.
	TargetNow bool
}

// Explain shows the way of one record from its source to the target in a run
// that has a plan. It evaluates the row by transform's own code and plans it by
// load's, with the mapping and the snapshots of that run. It asks the target what
// it can hold, and writes nothing.
func (r *Runner) Explain(ctx context.Context, o ExplainOptions) (*Explanation, error) {
	x, err := r.newExplainer(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := x.find(ctx, o.Table, o.Key); err != nil {
		return nil, err
	}
	for _, at := range x.entities {
		e, err := x.entity(ctx, at)
		if err != nil {
			return nil, err
		}
		x.out.Entities = append(x.out.Entities, *e)
	}
	return x.out, nil
}

// explaining is one call of Explain.
type explaining struct {
	*Runner
	o       ExplainOptions
	rec     Record
	plan    *load.Manifest
	profile schemas.TargetProfile
	rules   *transform.Explainer
	aliases *transform.Aliases

	legacy, desired, observed *snapshots.Snapshot
	base                      load.Snapshot
	verified                  *snapshots.Snapshot // what the run read back, if it came so far
	ids                       *load.IDMap

	// what find came upon
	traces   []*transform.Trace
	entities []foundRow
	merged   map[schemas.RowID]*transform.Merge

	keys map[string]string // cache of names of rows
	out  *Explanation
}

// foundRow names a row of an entity.
type foundRow struct {
	entity, key string
	id          schemas.RowID
	candidate   *transform.Candidate // nil: no source row leads to it
}

func (r *Runner) newExplainer(ctx context.Context, o ExplainOptions) (*explaining, error) {
	rec, m, err := r.plannedRun(ctx, o.Run)
	if err != nil {
		return nil, err
	}
	x := &explaining{Runner: r, o: o, rec: rec, plan: m, merged: map[schemas.RowID]*transform.Merge{}, keys: map[string]string{}}
	if x.profile, err = r.Target.Preflight(ctx); err != nil {
		return nil, err
	}
	if err := x.openSnapshots(ctx); err != nil {
		return nil, err
	}
	now, err := r.base(ctx) // the newest knows the most ids
	if err != nil {
		return nil, err
	}
	if x.ids, err = load.ReadIDMap(ctx, orEmpty(now)); err != nil {
		return nil, err
	}
	x.out = &Explanation{Run: rec.ID, Migration: rec.Migration, Source: rec.Source, Target: rec.Target, Table: o.Table, Key: o.Key,
		Plan: m.Digest, Legacy: x.legacy.Digest(), Desired: m.Desired, Base: m.Base, Observed: m.Observed, Effective: m.Effective}
	if err := x.openRules(ctx); err != nil {
		return nil, err
	}
	return x, nil
}

// plannedRun finds a run that has a plan.
func (r *Runner) plannedRun(ctx context.Context, id string) (Record, *load.Manifest, error) {
	if id != "" {
		rec, err := ReadRecord(ctx, r.Store, id)
		if err != nil {
			return rec, nil, err
		}
		m, err := load.OpenPlan(ctx, r.Store, rec.ID)
		if errors.Is(err, snapshots.ErrNotFound) {
			err = ui.Refusef("`parallelrun resume "+rec.ID+"` takes it there", "run %s stopped before it had a plan", rec.ID)
		}
		return rec, m, err
	}
	ids, err := RunIDs(ctx, r.Store)
	if err != nil {
		return Record{}, nil, err
	}
	for _, id := range slices.Backward(ids) {
		rec, err := ReadRecord(ctx, r.Store, id)
		if err != nil {
			return rec, nil, err
		}
		if rec.Migration != r.Name || rec.Target != r.TargetName {
			continue
		}
		m, err := load.OpenPlan(ctx, r.Store, id)
		if !errors.Is(err, snapshots.ErrNotFound) {
			return rec, m, err
		}
	}
	return Record{}, nil, ui.Refusef("`parallelrun plan` makes one; nothing is written to the target", "no run of migration %s to target %s has a plan yet", r.Name, r.TargetName)
}

func (x *explaining) openSnapshots(ctx context.Context) error {
	e := x.engine(x.rec.ID)
	var extracted Extracted
	if done, err := e.Done(ctx, stepExtract, &extracted); err != nil || !done {
		return errors.Join(err, notJournaled(done, x.rec.ID))
	}
	var err error
	for _, s := range []struct {
		into   **snapshots.Snapshot
		digest snapshots.Digest
	}{{&x.legacy, extracted.Snapshot}, {&x.desired, x.plan.Desired}, {&x.observed, x.plan.Observed}} {
		if *s.into, err = x.open(ctx, s.digest); err != nil {
			return err
		}
	}
	if x.base = load.Empty; x.plan.Base != (snapshots.Digest{}) {
		if x.base, err = x.open(ctx, x.plan.Base); err != nil {
			return err
		}
	}
	var verified Verified
	if done, err := e.Done(ctx, stepVerify, &verified); err != nil || !done || verified.Observed == x.plan.Observed {
		return err
	}
	x.verified, err = x.open(ctx, verified.Observed)
	return err
}

func notJournaled(done bool, run string) error {
	if done {
		return nil
	}
	return fmt.Errorf("run %s has a plan but no extract in its journal (run `parallelrun snapshots verify`)", run)
}

// openRules compiles the mapping as the run had it.
func (x *explaining) openRules(ctx context.Context) error {
	var tables []schemas.Table
	for _, name := range x.legacy.Tables() {
		if t, ok := x.legacy.Table(name); ok {
			tables = append(tables, *t)
		}
	}
	dir := filepath.Dir(x.Config.Mapping)
	changed := false
	m, err := transform.LoadMapping(x.Config.Mapping, transform.LoadOptions{Tables: tables, ReadFile: func(path string) ([]byte, error) {
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, err
		}
		data, err := x.Store.ReadFile(ctx, runKey(x.rec.ID, "inputs", filepath.ToSlash(filepath.Join("mapping", filepath.Clean("/"+rel)))))
		changed = changed || string(x.Mapping.Files()[rel]) != string(data)
		return data, err
	}})
	if err != nil {
		return fmt.Errorf("mapping as run %s had it: %w", x.rec.ID, err)
	}
	if changed {
		x.note("the mapping has changed since; places and expressions are those that run %s was started with", x.rec.ID)
	}
	if x.aliases, err = x.aliasesOf(ctx, x.rec); err != nil {
		return fmt.Errorf("aliases as run %s had them: %w", x.rec.ID, err)
	}
	x.rules = transform.NewExplainer(m, tables, x.rec.Namespace, x.profile, x.aliases)
	return nil
}

func (x *explaining) note(format string, args ...any) {
	x.out.Notes = append(x.out.Notes, fmt.Sprintf(format, args...))
}

// legacyID is the row id of a legacy row, as sources give it.
func (x *explaining) legacyID(table, key string) schemas.RowID {
	return schemas.LegacyRowID(x.rec.Namespace, table, key)
}

// get reads one row of a snapshot, nil if there is none.
func get(ctx context.Context, sn load.Snapshot, table string, id schemas.RowID) (*schemas.Row, error) {
	if _, ok := sn.Table(table); !ok {
		return nil, nil
	}
	for row, err := range sn.Scan(ctx, table, parts.ScanOptions{From: id, To: following(id)}) {
		if err != nil {
			return nil, fmt.Errorf("read table %s of snapshot %s: %w", table, sn.Digest().Short(), err)
		}
		return &row, nil
	}
	return nil, nil
}

// following is the row id after one; zero, which is no bound, after the last.
func following(id schemas.RowID) schemas.RowID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}

// find looks for what the arguments name. Entities come before legacy tables of
// the same name: what made an entity's row is shown with it.
func (x *explaining) find(ctx context.Context, table, key string) error {
	if _, entity := schemas.Entities()[table]; entity {
		return x.findEntity(ctx, table, key)
	}
	if _, legacy := x.legacy.Table(table); legacy {
		return x.findLegacy(ctx, table, key)
	}
	return ui.Refusef("entities are "+strings.Join(schemas.LoadOrder, ", ")+"; legacy tables of this run are "+strings.Join(x.legacy.Tables(), ", "),
		"there is no table %q", table)
}

func (x *explaining) findLegacy(ctx context.Context, table, key string) error {
	row, err := get(ctx, x.legacy, table, x.legacyID(table, key))
	if err != nil {
		return err
	}
	if row == nil {
		return x.unknown(ctx, x.legacy, table, key, "in legacy table "+table+" (snapshot "+x.legacy.Digest().Short()+")")
	}
	t := x.rules.Row(table, *row)
	x.traces = append(x.traces, t)
	for _, c := range t.Candidates() {
		f := foundRow{c.Entity, c.Key, c.ID, c}
		x.throughAlias(&f)
		x.entities = append(x.entities, f)
	}
	return x.findMerged(ctx)
}

func (x *explaining) findEntity(ctx context.Context, entity, key string) error {
	if column, value, ok := login(entity, key); ok {
		found, err := x.findLogin(ctx, column, value)
		if err != nil {
			return err
		}
		key = found
	}
	if entity == schemas.Memberships || entity == schemas.Credentials {
		return x.findDependent(ctx, entity, key)
	}
	key, err := x.rowKey(ctx, entity, key)
	if err != nil {
		return err
	}
	found := foundRow{entity: entity, key: key, id: x.rowID(entity, key)}
	if err := x.findOrigin(ctx, &found); err != nil {
		return err
	}
	if found.candidate == nil {
		known, err := x.anywhere(ctx, entity, found.id)
		if err != nil {
			return err
		}
		if !known {
			where := fmt.Sprintf("in legacy, desired and base (snapshots %s, %s, %s)", x.out.Legacy.Short(), x.out.Desired.Short(), x.out.Base.Short())
			return x.unknown(ctx, x.desired, entity, key, where)
		}
	}
	x.entities = append(x.entities, found)
	return x.findMerged(ctx)
}

// rowID is the row id of a row of an entity, by the row's own key.
func (x *explaining) rowID(entity, key string) schemas.RowID {
	return schemas.NewRowID(x.rec.Namespace, entity, key)
}

// rowKey is the key of the row that a key means: its own row where there is one,
// else the one that an alias leads to.
func (x *explaining) rowKey(ctx context.Context, entity, key string) (string, error) {
	row := x.aliases.RowKey(entity, key)
	if row == key {
		return key, nil
	}
	own, err := x.anywhere(ctx, entity, x.rowID(entity, key))
	if err != nil {
		return "", err
	}
	place := x.aliases.Places(entity, row)[0]
	if own {
		x.note("in legacy the key %s means another row now (%s): `parallelrun explain %s %s` shows that", key, place, entity, row)
		return key, nil
	}
	return row, nil
}

// login splits username=... and email=...
func login(entity, key string) (column, value string, ok bool) {
	column, value, ok = strings.Cut(key, "=")
	return column, value, ok && entity == schemas.Users && (column == "username" || column == "email")
}

// findLogin reads all desired users for one name.
func (x *explaining) findLogin(ctx context.Context, column, value string) (string, error) {
	shape, ok := x.desired.Table(schemas.Users)
	if !ok {
		return "", ui.Refusef("", "snapshot %s has no users", x.out.Desired.Short())
	}
	at := shape.Column(column)
	var keys []string
	rows := 0
	for row, err := range x.desired.Scan(ctx, schemas.Users, parts.ScanOptions{Columns: []string{column}, KeepLarge: true}) {
		if err != nil {
			return "", err
		}
		rows++
		if s, _ := row.Values[at].(string); s != "" && schemas.LowerLogin(s) == schemas.LowerLogin(value) {
			keys = append(keys, row.Key)
		}
	}
	x.note("%s desired users were read to find the %s", ui.Count(int64(rows)), column)
	switch len(keys) {
	case 1:
		return keys[0], nil
	case 0:
		return "", ui.Refusef("users that are rejected or excluded have no "+column+" there: ask by legacy key (reports/<run>/rejects.csv has them)",
			"none of %s desired users (snapshot %s) has this %s", ui.Count(int64(rows)), x.out.Desired.Short(), column)
	}
	return "", ui.Refusef("ask by one of these keys: "+strings.Join(keys[:min(len(keys), 5)], ", "), "%d users have this %s", len(keys), column)
}

// findDependent leads from a membership or credential to its user, whose key
// its own begins with.
func (x *explaining) findDependent(ctx context.Context, entity, key string) error {
	for i := 0; i <= len(key); i++ {
		if i < len(key) && key[i] != '/' {
			continue
		}
		known, err := x.anywhere(ctx, schemas.Users, x.rowID(schemas.Users, key[:i]))
		if err != nil {
			return err
		}
		if known {
			x.note("a row of %s is shown with the user that it belongs to", entity)
			return x.findEntity(ctx, schemas.Users, key[:i])
		}
	}
	return ui.Refusef("give the user's key, or the whole key as a plan has it: <user>/<organization>/<department>, <user>/password",
		"no user stands at the beginning of the key %q", key)
}

// anywhere says whether any snapshot of the run has a row of an entity.
func (x *explaining) anywhere(ctx context.Context, entity string, id schemas.RowID) (bool, error) {
	for _, at := range []struct {
		sn    load.Snapshot
		table string
	}{{x.desired, entity}, {x.desired, schemas.RejectedTable(entity)}, {x.base, entity}, {x.observed, entity}} {
		row, err := get(ctx, at.sn, at.table, id)
		if err != nil || row != nil {
			return row != nil, err
		}
	}
	return false, nil
}

// findOrigin finds the source row that a row of an entity comes from: by its
// key, or where a rule computes keys by looking at all rows.
func (x *explaining) findOrigin(ctx context.Context, f *foundRow) error {
	take := func(table string, row schemas.Row) bool {
		t := x.rules.Row(table, row)
		for _, c := range t.Candidates() {
			if c.Entity == f.entity && c.Key == f.key {
				f.candidate = c
				x.traces = append(x.traces, t)
				return true
			}
		}
		return false
	}
	origins := x.rules.SourceTables(f.entity)
	for _, o := range origins {
		row, err := x.legacyRow(ctx, o.Table, *f)
		if err != nil {
			return err
		}
		if row != nil && (take(o.Table, *row) || !o.Computed) && f.candidate != nil {
			x.throughAlias(f)
			return nil
		}
	}
	for _, o := range origins {
		if !o.Computed {
			continue
		}
		row, err := x.scanFor(ctx, o.Table, "a rule computes the keys of "+f.entity, func(c *transform.Candidate) bool {
			return c.Entity == f.entity && c.Key == f.key
		})
		if err != nil {
			return err
		}
		if len(row) > 0 && take(o.Table, row[0]) {
			x.throughAlias(f)
			return nil
		}
	}
	return x.noRule(ctx, f, origins)
}

// throughAlias notes that a row came by an alias.
func (x *explaining) throughAlias(f *foundRow) {
	c := f.candidate
	if c == nil || c.LegacyKey == c.Key {
		return
	}
	what := fmt.Sprintf("legacy has this row as %s; ", c.LegacyKey)
	if former, again := transform.FormerKey(c.Key); again && x.aliases.RowKey(f.entity, former) == c.Key {
		what = fmt.Sprintf("the key %s came back as another person, this one; ", former)
	}
	x.note("%sits alias leads to %s %s (%s), so that the row id stays", what, f.entity, c.Key, strings.Join(x.aliases.Places(f.entity, c.Key), ", "))
}

// legacyRow finds the row of a legacy table that has the key of an entity's row,
// or one whose alias leads to it.
func (x *explaining) legacyRow(ctx context.Context, table string, f foundRow) (*schemas.Row, error) {
	for _, key := range x.aliases.LegacyKeys(f.entity, f.key) {
		if row, err := get(ctx, x.legacy, table, x.legacyID(table, key)); err != nil || row != nil {
			return row, err
		}
	}
	return nil, nil
}

// noRule takes the row that has the key but that no rule makes a row of the
// entity from.
func (x *explaining) noRule(ctx context.Context, f *foundRow, origins []transform.SourceTable) error {
	for _, o := range origins {
		row, err := x.legacyRow(ctx, o.Table, *f)
		if err != nil {
			return err
		}
		if row != nil && !o.Computed {
			t := x.rules.Row(o.Table, *row)
			x.traces = append(x.traces, t)
			x.note("legacy table %s has the key, but no rule makes one of %s of that row", o.Table, f.entity)
			x.entities = append(x.entities, *f)
			return nil
		}
	}
	return nil
}

// scanFor reads a whole legacy table for the rows whose candidates match.
func (x *explaining) scanFor(ctx context.Context, table, why string, match func(*transform.Candidate) bool) ([]schemas.Row, error) {
	var out []schemas.Row
	n := int64(0)
	total := x.legacy.Rows(table)
	step := x.Progress.Step("explain", total, "rows")
	defer step.End()
	for row, err := range x.legacy.Scan(ctx, table, parts.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		n++
		step.Set(n, total)
		if slices.ContainsFunc(x.rules.Candidates(table, row), match) {
			out = append(out, row)
			if len(out) > maxShownMerge {
				break
			}
		}
	}
	x.note("%s rows of legacy table %s were read, because %s", ui.Count(n), table, why)
	return out, nil
}

// maxShownMerge bounds the rows of one person that are shown.
const maxShownMerge = 20

// findMerged finds the other source rows of each user that rows are merged to,
// and leads from a row that was merged to the one that it was merged into.
func (x *explaining) findMerged(ctx context.Context) error {
	for i := range x.entities {
		f := &x.entities[i]
		if f.candidate == nil || f.candidate.MergeKey == "" || len(f.candidate.Failures) > 0 {
			continue
		}
		if err := x.merge(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (x *explaining) merge(ctx context.Context, f *foundRow) error {
	own := f.candidate
	group := []*transform.Candidate{own}
	for _, o := range x.rules.SourceTables(schemas.Users) {
		if !o.Merges {
			continue
		}
		same := func(c *transform.Candidate) bool {
			return c.Entity == schemas.Users && c.MergeKey == own.MergeKey && len(c.Failures) == 0
		}
		rows, err := x.scanFor(ctx, o.Table, "the mapping merges rows of one person", same)
		if err != nil {
			return err
		}
		for _, row := range rows {
			t := x.rules.Row(o.Table, row)
			for _, c := range t.Candidates() {
				if same(c) && c.OtherID != own.OtherID {
					group = append(group, c)
					x.traces = append(x.traces, t)
				}
			}
		}
	}
	if len(group) == 1 {
		return nil
	}
	m := x.rules.Merge(group)
	x.merged[m.Lead.ID] = m
	f.key, f.id, f.candidate = m.Lead.Key, m.Lead.ID, m.Lead
	return nil
}

// nearRows is up to how many rows a table is read to suggest keys.
const nearRows = 50_000

// unknown is the error of a key that is nowhere.
func (x *explaining) unknown(ctx context.Context, sn *snapshots.Snapshot, table, key, where string) error {
	hint := "keys are written as in the source; `parallelrun snapshots show " + sn.Digest().Short() + "` lists the tables"
	if table == schemas.Users {
		hint = "username=NAME or email=ADDRESS looks a user up by these"
	}
	if sn.Rows(table) <= nearRows {
		var keys []string
		for row, err := range sn.Scan(ctx, table, parts.ScanOptions{Columns: []string{}, KeepLarge: true}) {
			if err != nil {
				return err
			}
			keys = append(keys, row.Key)
		}
		if keys = nearKeys(key, keys); len(keys) > 0 {
			hint = "did you mean " + strings.Join(keys, " or ") + "?"
		}
	}
	return ui.Refusef(hint, "there is no %q %s", key, where)
}

// nearKeys are the keys that differ in case, begin so, or have a character or
// two wrong.
func nearKeys(key string, keys []string) []string {
	var out []string
	for _, k := range keys {
		if strings.EqualFold(k, key) || len(key) >= 4 && strings.HasPrefix(strings.ToLower(k), strings.ToLower(key)) || wrongBytes(k, key) <= 2 {
			out = append(out, k)
		}
	}
	return out[:min(len(out), 3)]
}

// wrongBytes is in how many places two keys of one length differ; short keys
// and keys of other lengths differ throughout.
func wrongBytes(a, b string) int {
	if len(a) != len(b) || len(a) < 6 {
		return max(len(a), len(b), 6)
	}
	n := 0
	for i := range len(a) {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
