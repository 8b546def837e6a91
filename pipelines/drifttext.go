package pipelines

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/ui"
)

// Text writes the drift for people.
func (d *Drift) Text(p *ui.Page) {
	for line := range strings.Lines(d.text) {
		p.Line("%s", strings.TrimRight(line, "\n"))
	}
	p.Blank()
	d.Scope.text(p, d.From, d.To)
	p.Blank()
	within := ""
	if d.Scope.Kind != DriftFull {
		within = ", as far as was looked"
	}
	if d.Differences == 0 {
		p.Line("target %s is as it was last confirmed%s", d.Target, within)
		return
	}
	p.Line("target %s drifted: %s rows differ from what was last confirmed%s", d.Target, ui.Count(d.Differences), within)
	p.Line("  parallelrun snapshots diff %s %s --rows", d.Compared.Short(), d.Observed.Short())
}

// text says what was looked at, and what was not.
func (s *DriftReach) text(p *ui.Page, from, to time.Time) {
	why := map[DriftScope]string{
		DriftFull: "all that were ever confirmed", DriftKeys: "those that were chosen", DriftSince: "those that events name",
	}[s.Kind]
	p.Line("looked at %s of %s users (%s), from %s to %s", ui.Count(s.Users), ui.Count(s.UsersBase), why, moment(from), moment(to))
	if s.Absent > 0 {
		p.Line("  not there: %s users", ui.Count(s.Absent))
	}
	if s.Structure {
		p.Line("  organizations, departments and groups: looked at, all of them")
	} else {
		p.Line("  organizations, departments and groups: not looked at")
	}
	for _, table := range slices.Sorted(maps.Keys(s.NotGivenBack)) {
		p.Line("  not given back by the target, so not compared: %s %s", table, strings.Join(s.NotGivenBack[table], ", "))
	}
	if s.Kind == DriftSince {
		p.Line("  events since drift %s (%s); what had drifted before it is not shown again", s.SinceRun, moment(s.SinceTime))
		p.Line("  no event tells of %s", strings.Join(s.Blind, ", nor of "))
		if s.Others > 0 {
			p.Line("  events also name %s accounts that are none of ours", ui.Count(s.Others))
		}
	}
	if s.Holder != "" {
		p.Line("  run %s holds the target: what it wrote and has not confirmed yet shows as drift", s.Holder)
	}
	switch {
	case s.Cursor:
		p.Line("  `parallelrun drift --since last` goes on from here")
	case s.Kind != DriftKeys:
		p.Line("  `drift --since` can't go on from here: %s", s.NoCursor)
	}
}

func moment(t time.Time) string { return fmt.Sprint(t.UTC().Format("2006-01-02 15:04:05"), " UTC") }
