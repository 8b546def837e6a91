package pipelines

import (
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines/waves"
)

// removedWave stands in place of the rule of a wave that has none.
const removedWave = "(not in the configuration any more; its users stay in it)"

func ruleText(c waves.Count) string {
	if c.Removed {
		return removedWave
	}
	return c.Rule
}

// Text writes the decision for people.
func (a *Assigned) Text(p *ui.Page) {
	by := "by the rules"
	if a.File != "" {
		by = "by " + a.File
	}
	p.Line("waves of %s %s, for the users of desired state %s", a.Migration, by, a.Desired.Short())
	p.Blank()
	t := ui.NewTable("WAVE", "NEW", "MOVED", "TOTAL", "GONE", "LEFT OUT", "RULE")
	for _, c := range a.Waves {
		t.Row(c.Wave, ui.Count(c.New), ui.Count(c.Moved), ui.Count(c.Total), ui.Count(c.Gone), ui.Count(c.LeftOut), ruleText(c))
	}
	p.Table(t)
	textUnassigned(p, a.Unassigned, a.Users, a.FirstUnassigned)
	for _, c := range a.Waves {
		if len(c.FirstNew) > 0 {
			p.Line("%s takes %s", c.Wave, some(c.FirstNew, c.New+c.Moved))
		}
	}
	textStrays(p, a.Waves)
	a.textComplete(p)
	p.Blank()
	switch {
	case !a.Changed() && a.Recorded:
		p.Line("nobody is new: the assignment stays %s", a.Snapshot.Short())
	case a.Recorded:
		p.Line("recorded as %s (%s)", AssignmentRef(a.Migration), a.Snapshot.Short())
	default:
		p.Line("nothing was recorded; add --apply to record it")
	}
}

// textComplete says what it means to come into a complete wave, or out of one.
func (a *Assigned) textComplete(p *ui.Page) {
	for _, c := range a.Waves {
		if !slices.Contains(a.Complete, c.Wave) {
			continue
		}
		if n := c.New + c.Moved; n > 0 {
			p.Line("into complete wave %s: %s, Keymate's from now on, those not in the target yet once legacy made them", c.Wave, countUsers(n))
		}
		if c.Left > 0 {
			p.Line("out of complete wave %s: %s, legacy's from now on", c.Wave, countUsers(c.Left))
		}
	}
}

func textUnassigned(p *ui.Page, n, of int64, first []string) {
	p.Blank()
	if n == 0 {
		p.Line("in no wave: none of %s users", ui.Count(of))
		return
	}
	p.Line("in no wave: %s of %s users: %s", ui.Count(n), ui.Count(of), some(first, n))
}

// some lists the first of n keys.
func some(first []string, n int64) string {
	text := strings.Join(first, ", ")
	if more := n - int64(len(first)); more > 0 {
		text += " and " + ui.Count(more) + " more"
	}
	return text
}

func textStrays(p *ui.Page, counts []waves.Count) {
	for _, c := range counts {
		if c.Strays > 0 {
			p.Line("%s lists keys that no user has: %s", c.Wave, some(c.FirstStrays, c.Strays))
		}
	}
}

// Text writes the list for people.
func (l *WaveList) Text(p *ui.Page) {
	t := ui.NewTable("WAVE", "ASSIGNED", "NEW", "IN TARGET", "GONE", "LEFT OUT", "STATE", "RULE")
	fresh := int64(0)
	var counts []waves.Count
	for _, c := range l.Waves {
		fresh += c.New
		counts = append(counts, c.Count)
		t.Row(c.Wave, ui.Count(c.Total), ui.Count(c.New), ui.Count(c.InTarget), ui.Count(c.Gone), ui.Count(c.LeftOut), string(c.State), ruleText(c.Count))
	}
	p.Table(t)
	if l.Desired.IsZero() {
		p.Blank()
		p.Line("nobody is assigned by rules before there is a desired state; `parallelrun plan` makes one")
		return
	}
	textUnassigned(p, l.Unassigned, l.Users, l.FirstUnassigned)
	textStrays(p, counts)
	if fresh > 0 {
		p.Line("new: in desired state %s and not recorded yet; `parallelrun waves assign --apply` does it", l.Desired.Short())
	}
}

// WaveDetail is one wave with some of its users.
type WaveDetail struct {
	Migration string `json:"migration"`
	Target    string `json:"target"`
	WaveCount
	// Keys are those of some of its users.
	Keys []string `json:"keys"`
}

// Text writes the wave for people.
func (d *WaveDetail) Text(p *ui.Page) {
	p.Fields("wave", d.Wave, "takes", ruleText(d.Count), "state", string(d.State), "assigned", ui.Count(d.Total), "new", ui.Count(d.New),
		"in target", ui.Count(d.InTarget)+" ("+d.Target+")", "not loaded", ui.Count(d.NotLoaded), "gone", ui.Count(d.Gone), "left out", ui.Count(d.LeftOut))
	if d.Declared != nil {
		p.Line("%s", d.Declared.text())
	}
	if len(d.Keys) > 0 {
		p.Line("users: %s", some(d.Keys, d.Total))
	}
	if len(d.FirstNew) > 0 {
		p.Line("would be new: %s", some(d.FirstNew, d.New))
	}
	textStrays(p, []waves.Count{d.Count})
}
