package pipelines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/snapshots"
)

// accessDiff says whose access a plan changes, and holds it against the gate.
func (r *Runner) accessDiff(ctx context.Context, rec Record, m *load.Manifest, in load.PlanInput, effective *snapshots.Snapshot) (*load.Access, error) {
	return load.AccessDiff(ctx, load.AccessInput{
		Plan: m, Base: in.Base, Observed: in.Observed, Effective: effective, Assignment: in.Reach.Assignment,
		Profile: in.Profile, Target: in.Target, Files: r.Store, Gate: gateOf(r.Config.Gates.Widening, rec.Widen),
	})
}

// Widen is what an operator names to be widened in one run, beyond the
// configuration's gate. Without a gate there it makes one.
type Widen struct {
	Users *int64   `json:"users,omitempty"` // nil: as the gate says
	Roles []string `json:"roles,omitempty"`
	Kinds []string `json:"kinds,omitempty"`
}

// ParseWiden reads words of a command line: roles=A,B, kinds=links, users=3.
// No words: nil.
func ParseWiden(words []string) (*Widen, error) {
	if len(words) == 0 {
		return nil, nil
	}
	w := &Widen{}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		list := strings.FieldsFunc(value, func(r rune) bool { return r == ',' })
		switch {
		case name == "users":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return nil, ui.Refusef("give how many users may gain what is not named, such as users=3", "--widen %s: %q is no number of users", word, value)
			}
			w.Users = &n
		case name == "roles" && len(list) > 0:
			w.Roles = append(w.Roles, list...)
		case name == "kinds" && len(list) > 0:
			w.Kinds = append(w.Kinds, list...)
		default:
			return nil, ui.Refusef("write roles=A,B or kinds=A,B or users=N", "--widen %s: not understood", word)
		}
	}
	gate := load.WideningGate{Kinds: w.Kinds}
	if err := gate.Check(); err != nil {
		return nil, ui.Refusef(ui.Hint(err), "--widen: %w", err)
	}
	return w, nil
}

// gateOf is the gate that holds for a run; nil for none.
func gateOf(c *config.WideningGate, w *Widen) *load.WideningGate {
	if c == nil && w == nil {
		return nil
	}
	g := &load.WideningGate{}
	if c != nil {
		*g = load.WideningGate{Users: c.Users, Roles: c.Roles, Kinds: c.Kinds, NewUsers: c.NewUsers}
	}
	if w != nil {
		g.Roles, g.Kinds = slices.Concat(g.Roles, w.Roles), slices.Concat(g.Kinds, w.Kinds)
		if w.Users != nil {
			g.Users = *w.Users
		}
	}
	return g
}

// gainsShown is how many kinds of gains stand in a plan's text.
const gainsShown = 10

// textAccess says whose access a plan changes.
func (o *Outcome) textAccess(p *ui.Page) {
	if o.Planned == nil || o.Planned.Access == nil {
		return
	}
	a := o.Planned.Access
	t := a.Total
	if t.Widened+t.Narrowed+t.New == 0 && a.Gate == nil && len(a.Unread) == 0 {
		return
	}
	p.Blank()
	p.Line("access that this run widens: %s in the target gain, %s", countUsers(t.Widened), newAccounts(t.New))
	textWaves(p, a.Waves)
	for _, what := range []struct {
		n    int64
		text string
	}{{t.Enabled, "enabled"}, {t.Recreated, "made anew after they were deleted in the target"}, {t.Passwords, "given an older password"}} {
		if what.n > 0 {
			p.Line("  %s  %s", ui.Count(what.n), what.text)
		}
	}
	textGains(p, a.Gains, a.MoreGains)
	if len(a.NewGains) > 0 {
		p.Line("  new accounts get what legacy gives, by role:")
		textGains(p, a.NewGains, a.MoreNewGains)
	}
	if t.Narrowed > 0 {
		p.Line("  access narrows for %s", countUsers(t.Narrowed))
	}
	if g := a.Gate; g != nil {
		verdict := "lets it through"
		if g.Closed() {
			verdict = "closed: a load of this plan will be refused"
		}
		p.Line("  gate: %s gain what is not named, limit %s: %s", countUsers(g.Over), ui.Count(g.Users), verdict)
	}
	if t.Widened+t.Narrowed > 0 {
		p.Line("  who: `parallelrun access %s`", o.ID)
	}
	textList(p, "not known of the target's roles, so that access may be wider than said", a.Unread)
}

func countUsers(n int64) string {
	if n == 1 {
		return "1 user"
	}
	return ui.Count(n) + " users"
}

func newAccounts(n int64) string {
	if n == 1 {
		return "1 account is new"
	}
	return ui.Count(n) + " accounts are new"
}

// textWaves says how the counts spread over waves, if there are several.
func textWaves(p *ui.Page, waves map[string]load.AccessCounts) {
	if len(waves) < 2 {
		return
	}
	for _, w := range slices.Sorted(maps.Keys(waves)) {
		name := "wave " + w
		if w == "" {
			name = "no wave"
		}
		p.Line("  %s: %s gain, %s narrow, %s", name, ui.Count(waves[w].Widened), ui.Count(waves[w].Narrowed), newAccounts(waves[w].New))
	}
}

func textGains(p *ui.Page, gains []load.GainCount, more int) {
	shown := min(gainsShown, len(gains))
	for _, g := range gains[:shown] {
		p.Line("  %s  %s", ui.Count(g.Users), g.Grant)
	}
	if rest := len(gains) - shown + more; rest > 0 {
		p.Line("  and %d more", rest)
	}
}

// AccessFilter says which of a plan's access changes to show.
type AccessFilter struct {
	Wave     *string // nil: all; "": users in no wave
	User     string  // legacy key; "": all
	Widening bool    // only users of the target who gain
	New      bool    // new accounts too
}

func (f *AccessFilter) shows(c *load.AccessChange) bool {
	return (f.Wave == nil || c.Wave == *f.Wave) && (f.User == "" || c.Key == f.User) && (!f.Widening || c.New || c.Widens())
}

// ErrNoAccessDiff means that a run has no access diff: it has no plan yet, or
// one of an older program. Make a new plan.
var ErrNoAccessDiff = errors.New("its plan has no access diff")

// AccessOf shows a stored plan's access changes, users of the target first.
func AccessOf(ctx context.Context, s *snapshots.Store, run string, f AccessFilter, show func(load.AccessChange) error) error {
	rec, m, err := planOf(ctx, s, run)
	if err != nil {
		return err
	}
	if m.Access == nil {
		return fmt.Errorf("run %s: %w", rec.ID, ErrNoAccessDiff)
	}
	for _, news := range []bool{false, true} {
		if news && !f.New && f.User == "" {
			break
		}
		for c, err := range m.AccessChanges(ctx, s, news) {
			if err != nil {
				return err
			}
			if !f.shows(&c) {
				continue
			}
			if err := show(c); err != nil {
				return err
			}
		}
	}
	return nil
}
