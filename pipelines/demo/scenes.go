package demo

import (
	"context"
	"path/filepath"
	"time"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/schemas"
)

// scenes are the reference scenario, in order.
var scenes = []struct {
	title string
	play  func(*play, context.Context) error
}{
	{"before anybody moves: the plan of the pilot, and who would be in which wave", (*play).rehearsal},
	{"the pilot: department A moves", (*play).pilot},
	{"department B moves", (*play).waveB},
	{"meanwhile people of department B are edited in the target, by hand", (*play).editedMeanwhile},
	{"a bad change of the mapping meets the brake", (*play).badMapping},
	{"department C moves, is taken back, and moves again", (*play).undoneAndAgain},
	{"departments D and E move, then everybody who is in no wave", (*play).theRest},
	{"a script goes wrong in the target: DAMAGED people damaged, 3 memberships gone", (*play).damage},
	{"the way back: restore from the named checkpoint", (*play).repair},
}

// What scenes show of a run's text.
var (
	ran       = block{begin: "run "}
	source    = block{begin: "every row of the source", keep: rows("people", "units")}
	entities  = block{begin: "every row of an entity"}
	users     = block{begin: "every row of an entity", keep: rows(schemas.Users), untitled: true}
	links     = block{begin: "every row of an entity", keep: rows(schemas.Users, schemas.Memberships), untitled: true}
	rejected  = block{begin: "rejected and excluded", keep: reasons}
	verified  = block{begin: "verified"}
	proof     = block{begin: "login proof", keep: first(5), untitled: true}
	wayBack   = block{begin: "checkpoint "}
	planned   = block{begin: "nothing was written"}
	tooMuch   = block{begin: "this run changes too much", keep: first(3)}
	conflicts = block{begin: "conflicts"}
	withheld  = block{begin: "withheld"}
	widening  = block{begin: "widening"}
	drifted   = block{begin: "drift:"}
	kept      = block{begin: "kept"}
	wave      = briefly(ran, users, verified, proof)
)

func (p *play) logins() string { return filepath.Join(p.Dir, LoginsFile) }

func (p *play) rehearsal(ctx context.Context) error {
	out, err := p.runs(ctx, ui.Done, shows(ran, source, entities, rejected, planned), "plan", "--wave", pilot)
	if err != nil {
		return err
	}
	p.sum.Yielded = out.Counts()[schemas.Users].Yielded
	if err := claim(out.State == pipelines.Planned && out.Loaded == nil, "a plan wrote to the target"); err != nil {
		return err
	}
	p.say("")
	_, err = p.types(ctx, ui.Done, excerpt{}, "waves", "list")
	return err
}

// moves takes a wave over, with its checkpoint and its login proof.
func (p *play) moves(ctx context.Context, name string, show excerpt, reach ...string) error {
	args := append([]string{"run"}, reach...)
	out, err := p.runs(ctx, ui.Done, show, append(args, "--apply", "--logins", p.logins())...)
	if err != nil {
		return err
	}
	m := p.sum.moved(name, out)
	return claim(m.Users > 0 && m.Checkpoint != "" && m.Tried > 0 && m.Proved == m.Tried && m.Opened == 0 && out.Verified.Differences == 0,
		"wave %s: %+v, %d differences", name, m, out.Verified.Differences)
}

func (p *play) pilot(ctx context.Context) error {
	return p.moves(ctx, pilot, briefly(ran, users, verified, block{begin: "login proof"}, wayBack), "--wave", pilot)
}

func (p *play) waveB(ctx context.Context) error { return p.moves(ctx, "B", wave, "--wave", "B") }

// edited is how many people are edited by hand in each way.
func (p *play) edited() int { return min(20, max(1, p.users()/200)) }

func (p *play) editedMeanwhile(ctx context.Context) error {
	n := p.edited()
	err := p.byHand(ctx, func(m *meddler) error {
		return m.editDepartment(ctx, "B", n,
			setAttribute("title", "Edited by hand"), setAttribute("telephoneNumber", "+49 30 555 00 00"), setField("lastName", "Edited by hand"))
	})
	if err != nil {
		return err
	}
	p.say("by hand: %s another title (Keymate's, says %s), %s another telephone number (for a person to decide),", people(n), p.config(), people(n))
	p.say("%s another surname (legacy's). Then the nightly run, for those who have moved:", people(n))
	out, err := p.runs(ctx, ui.Done, briefly(ran, users, conflicts, drifted, kept, verified), "run", "--apply")
	if err != nil {
		return err
	}
	p.sum.Kept, p.sum.Undecided, p.sum.BroughtBack = found(out, load.ListKept), found(out, load.ListConflicts), found(out, load.ListDrift)
	if err := claim(p.sum.Kept == int64(n) && p.sum.Undecided == int64(n) && p.sum.BroughtBack == int64(n), "%d kept, %d to decide, %d brought back, not %d each",
		p.sum.Kept, p.sum.Undecided, p.sum.BroughtBack, n); err != nil {
		return err
	}
	p.say("")
	decisions := filepath.Join(p.Dir, "decisions.yaml")
	if _, err := p.types(ctx, ui.Done, nothing, "conflicts", "--out", decisions); err != nil {
		return err
	}
	p.say("(a file to decide in, one entry for each of the %d)", n)
	return nil
}

// Lines of the mapping, before and after somebody mixed up == and !=.
const (
	goodRule = `enabled: row.accountStatus == "active" && !has(row.pwdAccountLockedTime)`
	badRule  = `enabled: row.accountStatus != "active" && !has(row.pwdAccountLockedTime)`
)

func (p *play) badMapping(ctx context.Context) error {
	if err := p.rewrites("mapping.yaml", goodRule, badRule); err != nil {
		return err
	}
	out, err := p.runs(ctx, ui.Refused, briefly(ran, users), "run", "--apply")
	if err != nil {
		return err
	}
	p.sum.Brakes = out.Planned.Brakes
	if err := claim(len(out.Planned.Brakes) > 0 && out.Loaded == nil, "the brake let it pass"); err != nil {
		return err
	}
	return p.rewrites("mapping.yaml", badRule, goodRule)
}

func (p *play) undoneAndAgain(ctx context.Context) error {
	if err := p.moves(ctx, "C", wave, "--wave", "C"); err != nil {
		return err
	}
	p.say("")
	plan, err := p.runs(ctx, ui.Done, briefly(ran, users, tooMuch, planned), "undo", "C", "--delete-created")
	if err != nil {
		return err
	}
	p.say("")
	undone, err := p.runs(ctx, ui.Done, briefly(ran, block{begin: "the brake was"}, verified, wayBack), "load", plan.ID, "--apply", "--override-brake", "C moves tonight instead")
	if err != nil {
		return err
	}
	p.sum.Undone = undone.Counts()[schemas.Users].Classes[load.Removed]
	first := p.sum.Moves[len(p.sum.Moves)-1]
	if err := claim(p.sum.Undone == first.Users, "%d users undone of %d", p.sum.Undone, first.Users); err != nil {
		return err
	}
	p.say("")
	if err := p.moves(ctx, "C again", wave, "--wave", "C"); err != nil {
		return err
	}
	again := p.sum.Moves[len(p.sum.Moves)-1]
	return claim(again.Users == first.Users, "%d users moved again, %d had moved", again.Users, first.Users)
}

func (p *play) theRest(ctx context.Context) error {
	for _, w := range waveNames[3:] {
		if err := p.moves(ctx, w, wave, "--wave", w); err != nil {
			return err
		}
		p.say("")
	}
	if err := p.moves(ctx, "in no wave", wave, "--sweep"); err != nil {
		return err
	}
	moved := -p.sum.Undone
	for _, m := range p.sum.Moves {
		moved += m.Users
	}
	p.sum.Users = moved
	return claim(moved == p.sum.Yielded, "%d of %d users moved", moved, p.sum.Yielded)
}

// What the script does to the target.
const removedMemberships = 3

func (p *play) damaged() int { return min(200, p.users()/10) }

const goodState = "all-moved"

func (p *play) damage(ctx context.Context) error {
	if _, err := p.types(ctx, ui.Done, excerpt{}, "checkpoint", "create", goodState, "--reason", "everybody has moved"); err != nil {
		return err
	}
	n := p.damaged()
	err := p.byHand(ctx, func(m *meddler) error {
		if err := m.editUsers(ctx, n, setField("firstName", "Damaged")); err != nil {
			return err
		}
		return m.removeMemberships(ctx, removedMemberships)
	})
	if err != nil {
		return err
	}
	p.sum.Damaged = Damage{int64(n), removedMemberships}
	p.say("")
	p.say("by hand: %s another first name, %d people lose their organization", people(n), removedMemberships)
	return nil
}

func (p *play) repair(ctx context.Context) error {
	n := int64(p.damaged())
	plan, err := p.runs(ctx, ui.Done, briefly(ran, links, withheld, planned), "restore", goodState, "--overwrite")
	if err != nil {
		return err
	}
	p.sum.Withheld = found(plan, load.ListWithheld)
	if err := claim(plan.Planned.Operations == n && p.sum.Withheld == removedMemberships, "%d operations, %d withheld", plan.Planned.Operations, p.sum.Withheld); err != nil {
		return err
	}
	p.say("(without --overwrite, what others changed would be kept; what gives access back is asked for by name)")
	p.say("")
	back, err := p.runs(ctx, ui.Done, briefly(ran, links, verified), "load", plan.ID, "--apply")
	if err != nil {
		return err
	}
	p.sum.Restored.Users = back.Counts()[schemas.Users].Classes[load.Updated]
	p.say("")
	if err := p.drifts(ctx, removedMemberships); err != nil {
		return err
	}
	p.say("")
	linked, err := p.runs(ctx, ui.Done, briefly(ran, links, widening, verified), "restore", goodState, "--allow", "links", "--apply")
	if err != nil {
		return err
	}
	p.linked = linked.ID
	p.sum.Restored.Memberships = linked.Counts()[schemas.Memberships].Classes[load.Created]
	if err := claim(p.sum.Restored == p.sum.Damaged, "damaged: %+v, restored: %+v", p.sum.Damaged, p.sum.Restored); err != nil {
		return err
	}
	p.say("")
	return p.drifts(ctx, 0)
}

func people(n int) string {
	if n == 1 {
		return "1 person gets"
	}
	return ui.Count(int64(n)) + " people get"
}

// found is how many findings a list of the plan has.
func found(out *pipelines.Outcome, list string) (n int64) {
	for _, k := range out.Planned.Found[list] {
		n += k
	}
	return n
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// further names what is left to look at. The commands work as they stand.
func (p *play) further() {
	p.scene("look further: the store, the reports and the target lie in " + p.Dir)
	last := p.sum.Moves[len(p.sum.Moves)-1].Run
	commands := []string{"runs list", "runs show " + last, "waves list", "access " + p.linked, "checkpoint list", "snapshots verify"}
	if p.Keycloak {
		p.say("(the server is stopped; these commands need the store alone)")
	} else {
		commands = append(commands, "drift", "run", "runbook", "sandbox --target "+sandboxTarget)
	}
	for _, c := range commands {
		p.say("%s %s --config %s", p.Program, c, p.config())
	}
}
