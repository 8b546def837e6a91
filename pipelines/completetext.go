package pipelines

import (
	"fmt"

	"github.com/parallelrun/parallelrun/internal/ui"
)

// Text writes for people what it means.
func (c *Completion) Text(p *ui.Page) {
	p.Line("wave %s: %s in it, %s of them in target %s", c.Wave, countUsers(c.Assigned), ui.Count(c.InTarget), c.Target)
	p.Blank()
	if c.Reopens {
		c.textReopens(p)
	} else {
		c.textCompletes(p)
	}
	p.Blank()
	if c.Entry == 0 {
		p.Line("nothing was recorded; add --apply to record it")
		return
	}
	p.Line("recorded (log entry %d); the next plan goes by it", c.Entry)
}

func (c *Completion) textCompletes(p *ui.Page) {
	p.Line("once it is complete, Keymate owns its users' profiles, their roles and groups included: what it holds")
	p.Line("of them stays, whatever legacy says. Memberships and passwords go on as before, whom legacy disables")
	p.Line("is disabled, and who joins the wave later is made from legacy once.")
	title := "open, so that --apply needs --override-open with a reason"
	if c.Despite != "" {
		title = "open, and complete all the same: " + c.Despite
	}
	textList(p, title, c.Ends.lines(c.New))
}

func (c *Completion) textReopens(p *ui.Page) {
	p.Line("once it is opened again, legacy owns its users' profiles: where they differ, the next run that writes")
	p.Line("brings legacy's values back. Access that Keymate took away stays away unless --allow names it.")
	if c.Kept != nil && c.Kept.Count > 0 {
		p.Line("the last run kept fields of %s as Keymate has them (%s)", countUsers(c.Kept.Count), c.Kept)
	}
}

func (d *Declared) text() string {
	what := "complete"
	if !d.Complete {
		what = "opened again"
	}
	text := fmt.Sprintf("%s since %s by %s: %s", what, d.At.UTC().Format("2006-01-02 15:04:05 UTC"), d.By, d.Reason)
	if d.Despite != "" {
		text += "; although ends were open: " + d.Despite
	}
	return text
}
