package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// BrakeKind is a kind of change that a brake counts. One operation may be of
// several kinds: an update that enables an account and gives it a role counts
// as an update, an enable and a grant.
type BrakeKind string

// The kinds of change.
const (
	BrakeCreates  BrakeKind = "creates"  // new rows, new memberships too
	BrakeUpdates  BrakeKind = "updates"  // rows with another value; those gone from legacy are disables only
	BrakeDisables BrakeKind = "disables" // accounts or organizations that were enabled
	BrakeDeletes  BrakeKind = "deletes"  // deletes and unlinks
	BrakeEnables  BrakeKind = "enables"  // of what stands disabled, or ends earlier, in the target
	BrakeGrants   BrakeKind = "grants"   // roles, groups, links, older passwords for what is in the target already
)

// BrakeKinds lists the kinds in the order of reports.
var BrakeKinds = []BrakeKind{BrakeCreates, BrakeUpdates, BrakeDisables, BrakeDeletes, BrakeEnables, BrakeGrants}

// brakeWords say what would become of rows, for people.
var brakeWords = map[BrakeKind]string{
	BrakeCreates:  "created",
	BrakeUpdates:  "changed",
	BrakeDisables: "disabled",
	BrakeDeletes:  "deleted",
	BrakeEnables:  "enabled",
	BrakeGrants:   "given more access",
}

// brakeEmptied is the kind of a brake that no limit can take away.
const brakeEmptied BrakeKind = "missing from legacy"

// BrakeOptions limit mass change, by kind.
type BrakeOptions struct {
	// Limits hold for every entity; a kind without a limit may change as many
	// rows as it likes. Nil: DefaultBrakeLimits.
	Limits map[BrakeKind]BrakeLimit
	// Entities replace limits for single tables.
	Entities map[string]map[BrakeKind]BrakeLimit
	// Sources names, for each table, the places in the source that its rows come
	// from, for messages.
	Sources map[string][]string
}

// BrakeLimit is passed by more than Rows rows that are also more than the share
// Ratio of the entity's rows in base, of those in the plan's reach: a wave is
// measured by itself, however many others there are.
type BrakeLimit struct {
	Rows  int64
	Ratio float64 // 0.02 is 2 %
}

// DefaultBrakeLimits returns the limits of a run that was told nothing. A first
// load creates everything, so creates and updates have none.
func DefaultBrakeLimits() map[BrakeKind]BrakeLimit {
	l := BrakeLimit{Rows: 20, Ratio: 0.02}
	return map[BrakeKind]BrakeLimit{BrakeDisables: l, BrakeDeletes: l, BrakeEnables: l, BrakeGrants: l}
}

func (o BrakeOptions) limit(table string, k BrakeKind) (BrakeLimit, bool) {
	if l, ok := o.Entities[table][k]; ok {
		return l, true
	}
	l, ok := o.Limits[k]
	return l, ok
}

func (l BrakeLimit) passed(count, of int64) bool {
	return count > l.Rows && float64(count) > l.Ratio*float64(of)
}

func (l BrakeLimit) String() string {
	return fmt.Sprintf("%d rows and %g %%", l.Rows, percent(l.Ratio))
}

// percent spares people the tails of binary fractions.
func percent(ratio float64) float64 { return float64(int64(ratio*1e6+0.5)) / 1e4 }

// Brake is one limit that a plan passes.
type Brake struct {
	Table string    `json:"table"`
	What  BrakeKind `json:"what"`
	Count int64     `json:"count"`
	Of    int64     `json:"of"` // rows in base that the plan may change
	// InReach: they are not all of base.
	InReach bool   `json:"in_reach,omitempty"`
	Limit   string `json:"limit"`
	// Causes say why, Departments where, Sources where from: the most frequent
	// first. A row of several departments, or with several changes, counts in
	// each.
	Causes      []Cause  `json:"causes,omitempty"`
	Departments []Cause  `json:"departments,omitempty"`
	Sources     []string `json:"sources,omitempty"`
}

// Cause is one of the reasons for which rows change, or one of the places.
type Cause struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// Lines are the brake in words: what, then its causes, a line each.
func (b *Brake) Lines() []string {
	of := fmt.Sprint(b.Of)
	if b.InReach {
		of += " in this run's reach"
	}
	head := fmt.Sprintf("%s: %d of %s would be %s, limit %s (%s)", b.Table, b.Count, of, brakeWords[b.What], b.Limit, b.What)
	if b.What == brakeEmptied {
		head = fmt.Sprintf("%s: the source yields none any more, the target has %d", b.Table, b.Of)
	}
	lines := []string{head}
	add := func(what string, causes []Cause) {
		var parts []string
		for _, c := range causes {
			parts = append(parts, fmt.Sprintf("%s: %d", c.Reason, c.Count))
		}
		if len(parts) > 0 {
			lines = append(lines, "  "+what+strings.Join(parts, "; "))
		}
	}
	add("why:   ", b.Causes)
	add("where: ", b.Departments)
	if len(b.Sources) > 0 {
		lines = append(lines, "  from:  "+strings.Join(b.Sources, ", "))
	}
	return lines
}

// BrakeError stops a run before its first write. Have someone look at the
// causes; then mend the source or the mapping, or override the brake for this
// run with a reason.
type BrakeError struct {
	Run    string
	Brakes []Brake
}

func (e *BrakeError) Error() string {
	lines := []string{fmt.Sprintf("plan of run %s changes too much at once, nothing was written:", e.Run)}
	for i := range e.Brakes {
		for _, l := range e.Brakes[i].Lines() {
			lines = append(lines, "  "+l)
		}
	}
	return strings.Join(lines, "\n")
}

// Hint says what to do.
func (e *BrakeError) Hint() string {
	return fmt.Sprintf("look at the source and the mapping; if it is meant, `parallelrun load %s --apply --override-brake \"the reason\"`", e.Run)
}

// BrakeErr returns a *BrakeError when the plan passes a limit.
func (m *Manifest) BrakeErr() error {
	if len(m.Brakes) == 0 {
		return nil
	}
	return &BrakeError{Run: m.Run, Brakes: m.Brakes}
}

// brakes counts mass change while a plan is made.
type brakes struct {
	o        BrakeOptions
	restores bool // desired is a checkpoint, not legacy
	counts   map[brakeKey]*brakeCount
	places   whereabouts
	// reached counts the rows of base in reach by table; nil: all of them are.
	reached map[string]int64
}

type brakeKey struct {
	table string
	kind  BrakeKind
}

// brakeCount counts the rows of one brake, and their causes: as many as there
// are columns and departments, whatever the number of rows.
type brakeCount struct {
	rows        int64
	reasons     map[string]int64
	departments map[string]int64
}

func newBrakes(o BrakeOptions, reach *Reach, restores bool) *brakes {
	if o.Limits == nil {
		o.Limits = DefaultBrakeLimits()
	}
	b := &brakes{o: o, restores: restores, counts: map[brakeKey]*brakeCount{}, places: newWhereabouts()}
	if !reach.All() {
		b.reached = map[string]int64{}
	}
	return b
}

// reach counts the rows of base of a person in reach.
func (b *brakes) reach(x *person) {
	if b.reached == nil {
		return
	}
	if x.base.user != nil {
		b.reached[schemas.Users]++
	}
	b.reached[schemas.Credentials] += int64(len(x.base.credentials))
	b.reached[schemas.Memberships] += int64(len(x.base.memberships))
}

// reachStructure counts the rows of base of the structure in reach.
func (b *brakes) reachStructure(states []*structState, near structureReach) {
	if b.reached == nil {
		return
	}
	for _, st := range states {
		for id := range st.base {
			if near.holds(st.shape.Name, id) {
				b.reached[st.shape.Name]++
			}
		}
	}
}

// add counts an operation under each of its kinds that has a limit.
func (b *brakes) add(op *Operation) {
	var where []string
	for _, k := range brakeKinds(op) {
		if _, limited := b.o.limit(op.Table, k); !limited {
			continue
		}
		key := brakeKey{op.Table, k}
		c := b.counts[key]
		if c == nil {
			c = &brakeCount{reasons: map[string]int64{}, departments: map[string]int64{}}
			b.counts[key] = c
		}
		c.rows++
		for _, r := range b.reasons(op, k) {
			c.reasons[r]++
		}
		if where == nil {
			where = b.places.of(op)
		}
		for _, d := range where {
			c.departments[d]++
		}
	}
}

// passed returns the limits that are passed. inBase says how many rows an
// entity had, in reach or not.
func (b *brakes) passed(inBase func(table string) int64, counts Counts) []Brake {
	var out []Brake
	for k, c := range b.counts {
		limit, _ := b.o.limit(k.table, k.kind)
		of := inBase(k.table)
		if b.reached != nil {
			of = b.reached[k.table]
		}
		if limit.passed(c.rows, of) {
			out = append(out, Brake{Table: k.table, What: k.kind, Count: c.rows, Of: of, InReach: of != inBase(k.table), Limit: limit.String(),
				Causes: topReasons(c.reasons), Departments: topReasons(c.departments), Sources: b.sources(k.table)})
		}
	}
	if br, ok := emptied(inBase(schemas.Users), counts.of(schemas.Users)); ok && !b.restores {
		br.Sources = b.o.Sources[schemas.Users]
		out = append(out, br)
	}
	rank := func(k BrakeKind) int { return slices.Index(BrakeKinds, k) }
	slices.SortFunc(out, func(x, y Brake) int {
		return cmp.Or(cmp.Compare(slices.Index(schemas.LoadOrder, x.Table), slices.Index(schemas.LoadOrder, y.Table)), cmp.Compare(rank(x.What), rank(y.What)))
	})
	return out
}

// emptied sees a source that yields no user at all any more.
func emptied(inBase int64, users *EntityCounts) (Brake, bool) {
	br := Brake{Table: schemas.Users, What: brakeEmptied, Count: inBase, Of: inBase, Limit: "an empty source"}
	return br, inBase > 0 && users.Yielded+users.Kept == 0
}
