package load

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// Kinds of grants.
const (
	GrantRole       = "role"
	GrantMembership = "membership" // of an organization or a department
	GrantLink       = "link"       // a way to log in through an identity provider
	GrantTime       = "lifetime"   // how long the account lives
)

// Grant is one thing that a user's access consists of.
type Grant struct {
	Kind string `json:"kind"`
	// What is the role, the organization or department, the identity provider's
	// alias, or the account's end.
	What string `json:"what"`
	// Way is where a role comes from, when the user does not hold it directly.
	Way string `json:"way,omitempty"`
	// Also are further ways that it comes; nil: none.
	Also *FurtherWays `json:"also,omitempty"`
	// Encoded: the target has no place for it but an attribute, so that it
	// grants nothing by itself.
	Encoded bool `json:"encoded,omitempty"`

	key    string // what makes it the same before and after
	inside string // the role that brings it along; empty for one that is given itself
}

// FurtherWays are ways of a grant beside the one that is named first.
type FurtherWays struct {
	Ways []string `json:"ways"`
	// More are so many that are not named.
	More int `json:"more,omitempty"`
}

// waysNamed bounds FurtherWays.Ways.
const waysNamed = 4

// along notes that the grant comes another way as well.
func (g *Grant) along(way string) {
	if way == "" {
		way = "held directly"
	}
	switch {
	case way == g.Way || g.Also != nil && slices.Contains(g.Also.Ways, way):
	case g.Also == nil:
		g.Also = &FurtherWays{Ways: []string{way}}
	case len(g.Also.Ways) < waysNamed:
		g.Also.Ways = append(g.Also.Ways, way)
	default:
		g.Also.More++
	}
}

func (g Grant) String() string {
	s := g.Kind + " " + g.What
	if g.Way != "" {
		s += " " + g.Way
	}
	if g.Also != nil {
		s += ", also " + strings.Join(g.Also.Ways, ", also ")
		if g.Also.More > 0 {
			s += fmt.Sprintf(" and %d more", g.Also.More)
		}
	}
	if g.Encoded {
		s += " (kept in an attribute, grants nothing by itself)"
	}
	return s
}

// AccessChange is how the effective access of one user changes by a plan.
//
// Access is what an enabled account can do; enabling an account gains all that
// it has. The grants of an account that is disabled before and after are
// compared all the same (Dormant): they count once somebody enables it.
type AccessChange struct {
	ID   string `json:"id"`
	Key  string `json:"key,omitempty"`
	Wave string `json:"wave,omitempty"`
	// New: the account is made by the plan. Gained then leaves out what roles
	// contain, which is the same for all who get the role.
	New bool `json:"new,omitempty"`
	// Recreated: it was deleted in the target and is made anew.
	Recreated bool `json:"recreated,omitempty"`
	Removed   bool `json:"removed,omitempty"` // deleted by the plan
	Enabled   bool `json:"enabled,omitempty"`
	Disabled  bool `json:"disabled,omitempty"`
	Dormant   bool `json:"dormant,omitempty"`
	// OlderPassword: the password goes back to an older one, or one comes back
	// that was removed in the target.
	OlderPassword bool    `json:"older_password,omitempty"`
	Gained        []Grant `json:"gained,omitempty"`
	Lost          []Grant `json:"lost,omitempty"`
}

// Widens says that the user, whom the target has already, can do more
// afterwards.
func (c *AccessChange) Widens() bool {
	return !c.New && (c.Recreated || c.Enabled || c.OlderPassword || slices.ContainsFunc(c.Gained, grantsSomething))
}

// Narrows says that the user can do less afterwards.
func (c *AccessChange) Narrows() bool {
	return c.Removed || c.Disabled || slices.ContainsFunc(c.Lost, grantsSomething)
}

func grantsSomething(g Grant) bool { return !g.Encoded }

func (c *AccessChange) empty() bool {
	return !c.New && !c.Recreated && !c.Removed && !c.Enabled && !c.Disabled && !c.OlderPassword && len(c.Gained)+len(c.Lost) == 0
}

// Access is a plan's access diff: the part of a manifest that says who can do
// more and who less afterwards.
type Access struct {
	// Changes lists the users whom the target has already and whose access
	// changes, New those that the plan makes; both in row-id order.
	Changes []PlanFile `json:"changes,omitempty"`
	New     []PlanFile `json:"new,omitempty"`
	// Roles is what the target said about its roles.
	Roles PlanFile `json:"roles"`
	// Unread names what the target did not say, so that access is understated.
	Unread []string `json:"unread,omitempty"`

	Total AccessCounts `json:"total"`
	// Waves counts by wave, "" for users in none; nil without an assignment.
	Waves map[string]AccessCounts `json:"waves,omitempty"`
	// Gains are the most frequent gains of users that the target has, the most
	// frequent first, at most gainsKept; NewGains the roles that new ones get,
	// without what those contain.
	Gains        []GainCount `json:"gains,omitempty"`
	NewGains     []GainCount `json:"new_gains,omitempty"`
	MoreGains    int         `json:"more_gains,omitempty"` // left out of Gains
	MoreNewGains int         `json:"more_new_gains,omitempty"`

	// Gate is nil for none.
	Gate *GateOutcome `json:"gate,omitempty"`
}

// AccessCounts counts users.
type AccessCounts struct {
	Widened   int64 `json:"widened"`
	Narrowed  int64 `json:"narrowed"`
	New       int64 `json:"new"`
	Enabled   int64 `json:"enabled,omitempty"`
	Recreated int64 `json:"recreated,omitempty"`
	Passwords int64 `json:"older_passwords,omitempty"`
}

// GainCount is how many users gain the same thing the same way.
type GainCount struct {
	Grant
	Users int64 `json:"users"`
}

// AccessInput is what an access diff is made from.
type AccessInput struct {
	// Plan is the plan's manifest, not sealed yet.
	Plan *Manifest
	Base Snapshot
	// Observed is what the target holds, Effective what Plan wrote.
	Observed, Effective Snapshot
	// Assignment says who is in which wave; nil: nobody is in one.
	Assignment Snapshot
	Profile    schemas.TargetProfile
	// Target is asked about its roles if it is a RoleReader.
	Target any
	Files  Files
	// Gate is nil for none.
	Gate *WideningGate
}

// AccessDiff compares the effective access of every user before and after a
// plan: through roles held directly, groups and their ancestors, organizations,
// departments and their ancestors, and composite roles. Users without an
// operation of their own are in it where the structure around them changes.
//
// It stores lists beside the plan and returns what the manifest shall hold of
// them (Manifest.Access, before Seal). Users are streamed; structure and roles
// are in memory. The same input gives the same files. Accounts that are
// nobody's are not observed, and so not in it.
func AccessDiff(ctx context.Context, in AccessInput) (*Access, error) {
	if in.Base == nil {
		in.Base = Empty
	}
	d := &accessDiff{in: in, shapes: schemas.Entities(), out: &Access{}}
	if err := d.run(ctx); err != nil {
		return nil, fmt.Errorf("access diff: %w", err)
	}
	return d.out, nil
}

// accessDiff makes one access diff.
type accessDiff struct {
	in     AccessInput
	shapes map[string]schemas.Table
	out    *Access

	before, after   *places
	moved           map[schemas.RowID]bool // places that grant something else afterwards
	seen            map[string]columns     // of the observation, by user table
	seesMemberships bool                   // the observation covers memberships
	tally           *accessTally
	changes, news   *lineFile
}

func (d *accessDiff) run(ctx context.Context) error {
	if err := d.structure(ctx); err != nil {
		return err
	}
	d.markMoved()
	d.changes = d.list("access", &d.out.Changes)
	d.news = d.list("access-new", &d.out.New)
	d.tally = newAccessTally(d.in.Assignment != nil, d.in.Gate)
	cursor := newOpCursor(ctx, d.in.Plan, d.in.Files)
	defer cursor.close()
	for x, err := range people(ctx, d.streams(), schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return err
		}
		ops, err := cursor.of(x.id)
		if err != nil {
			return err
		}
		if err := d.person(ctx, x, ops); err != nil {
			return err
		}
	}
	if op := cursor.left(); op != nil {
		return noSubject(*op)
	}
	for _, f := range []*lineFile{d.changes, d.news} {
		if err := f.cut(ctx); err != nil {
			return err
		}
	}
	d.tally.into(d.out)
	return nil
}

func (d *accessDiff) list(prefix string, files *[]PlanFile) *lineFile {
	return &lineFile{files: d.in.Files, run: d.in.Plan.Run, prefix: prefix, bound: findingLines,
		stored: func(pf PlanFile) { *files = append(*files, pf) }}
}

// streams are users and memberships before and after; what is effective is the
// desired side of a person here.
func (d *accessDiff) streams() []stream {
	base, _ := sideStreams(d.in.Base, d.shapes, func(x *person) *side { return &x.base })
	observed, seen := sideStreams(d.in.Observed, d.shapes, func(x *person) *side { return &x.observed })
	effective, _ := sideStreams(d.in.Effective, d.shapes, func(x *person) *side { return &x.desired })
	d.seen = seen
	d.seesMemberships = observed[2].r.there
	reach := Reach{Assignment: d.in.Assignment}
	return slices.Concat(withoutCredentials(base), withoutCredentials(observed), withoutCredentials(effective),
		scopeStreams(d.in.Observed)[:1], reach.streams())
}

func withoutCredentials(side []stream) []stream { return []stream{side[0], side[2]} }

func (d *accessDiff) person(ctx context.Context, x *person, ops map[schemas.RowID]*Operation) error {
	c := d.change(x, ops)
	if c.empty() {
		return nil
	}
	d.tally.add(&c)
	if !c.New {
		return d.changes.add(ctx, x.id, c)
	}
	c.Gained = slices.DeleteFunc(c.Gained, func(g Grant) bool { return g.inside != "" })
	return d.news.add(ctx, x.id, c)
}

// AccessChanges yields the stored access diff of a plan: the users that the
// target has already or, with news, those that the plan makes.
func (m *Manifest) AccessChanges(ctx context.Context, files Files, news bool) iter.Seq2[AccessChange, error] {
	return func(yield func(AccessChange, error) bool) {
		if m.Access == nil {
			return
		}
		list := m.Access.Changes
		if news {
			list = m.Access.New
		}
		for _, pf := range list {
			var found []AccessChange
			err := m.readLines(ctx, files, pf, func(dec *json.Decoder) error {
				var c AccessChange
				if err := dec.Decode(&c); err != nil {
					return err
				}
				found = append(found, c)
				return nil
			})
			if err != nil {
				yield(AccessChange{}, err)
				return
			}
			for _, c := range found {
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}
