package pipelines

import (
	"cmp"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/internal/ui"
)

// textTakeovers says how many users take names that others give up.
func (o *Outcome) textTakeovers(p *ui.Page) {
	if o.Planned == nil || o.Planned.Takeovers == 0 {
		return
	}
	p.Blank()
	p.Line("login names and e-mails that change hands")
	p.Line("  %s  users take what another gives up, who comes first", ui.Count(o.Planned.Takeovers))
	if n := o.Planned.Parked; n > 0 {
		p.Line("  %s  go through a temporary value, since they swap in a circle", ui.Count(n))
	}
}

// textFailures says what the target refused or did not answer, the most frequent
// first, with a row or two for each.
func (o *Outcome) textFailures(p *ui.Page) {
	if o.Loaded == nil || len(o.Loaded.Messages) == 0 {
		return
	}
	counts := o.Loaded.Messages
	p.Blank()
	p.Line("failed, or with an unknown outcome: the next run tries these rows again")
	most := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, message := range most {
		if i == failuresShown {
			p.Line("  and %s more reasons: outcome.json among the reports has all", ui.Count(int64(len(most)-i)))
			break
		}
		p.Line("  %s  %s", ui.Count(counts[message]), message)
		shown := 0
		for _, f := range o.Loaded.Failures {
			if f.Message == message && shown < examplesShown {
				p.Line("      %s %s", f.Table, f.Key)
				shown++
			}
		}
	}
}

// failuresShown is how many reasons the text lists.
const failuresShown = 20
