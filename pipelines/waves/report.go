package waves

import (
	"fmt"
	"slices"
	"strings"
)

// Report is what an assignment came to.
type Report struct {
	// Waves are those of the rules in order, then those that only the
	// assignment knows, by name.
	Waves []Count `json:"waves"`
	// Users are desired, of whom Unassigned are in no wave.
	Users      int64 `json:"users"`
	Unassigned int64 `json:"unassigned"`
	// FirstUnassigned are the keys of some of them.
	FirstUnassigned []string `json:"first_unassigned,omitempty"`
	// Rows is how many rows the assignment has.
	Rows int64 `json:"rows"`
}

// Count is one wave's users.
type Count struct {
	Wave string `json:"wave"`
	// Rule is the wave's rule in words, empty for a wave without one.
	Rule string `json:"rule,omitempty"`
	// Removed: the rules have no such wave any more; its users stay in it.
	Removed bool  `json:"removed,omitempty"`
	Total   int64 `json:"total"`
	// New users were in no wave before, Moved ones in another.
	New   int64 `json:"new"`
	Moved int64 `json:"moved,omitempty"`
	// Left users are in another wave now.
	Left int64 `json:"left,omitempty"`
	// Gone users are no longer desired, those LeftOut were rejected or excluded
	// this time.
	Gone    int64 `json:"gone"`
	LeftOut int64 `json:"left_out"`
	// FirstNew are the keys of some that are new or moved.
	FirstNew []string `json:"first_new,omitempty"`
	// Strays are keys that the rule lists and that nobody has, FirstStrays some
	// of them.
	Strays      int64    `json:"strays,omitempty"`
	FirstStrays []string `json:"first_strays,omitempty"`
}

// few is how many examples a report has.
const few = 5

// Changed reports whether anybody is new in a wave.
func (r *Report) Changed() bool {
	return slices.ContainsFunc(r.Waves, func(c Count) bool { return c.New+c.Moved > 0 })
}

// Wave is the count of one wave, nil if there is none of that name.
func (r *Report) Wave(name string) *Count {
	if i := slices.IndexFunc(r.Waves, func(c Count) bool { return c.Wave == name }); i >= 0 {
		return &r.Waves[i]
	}
	return nil
}

// tally counts while people pass.
type tally struct {
	waves  []Count
	byName map[string]int
	rules  int
	report *Report
}

func newTally(rules []Rule) *tally {
	t := &tally{byName: map[string]int{}, rules: len(rules), report: &Report{}}
	for i, r := range rules {
		t.waves = append(t.waves, Count{Wave: r.Name, Rule: r.Words()})
		t.byName[r.Name] = i
	}
	return t
}

func (t *tally) wave(name string) *Count {
	i, ok := t.byName[name]
	if !ok {
		i = len(t.waves)
		t.byName[name] = i
		t.waves = append(t.waves, Count{Wave: name, Removed: true})
	}
	return &t.waves[i]
}

// person counts somebody who now is in a wave, or in none.
func (t *tally) person(p *person, now string, known bool) {
	if p.user != nil {
		t.report.Users++
	}
	if now == "" {
		if p.user != nil {
			t.report.Unassigned++
			addFew(&t.report.FirstUnassigned, p.user.Key)
		}
		return
	}
	c := t.wave(now)
	t.report.Rows++
	c.Total++
	switch was := p.wave(); {
	case was == "":
		c.New++
		addFew(&c.FirstNew, p.key())
	case was != now:
		c.Moved++
		t.wave(was).Left++
		c = t.wave(now) // the waves may have moved in memory
		addFew(&c.FirstNew, p.key())
	}
	switch {
	case !known || p.user != nil:
	case p.leftOut:
		c.LeftOut++
	default:
		c.Gone++
	}
}

// stray counts a key of a wave's list that nobody has.
func (t *tally) stray(r Rule, k listed) {
	c := t.wave(r.Name)
	c.Strays++
	where := "in the configuration"
	if k.line > 0 {
		where = fmt.Sprintf("%s:%d", r.KeysFile, k.line)
	}
	addFew(&c.FirstStrays, fmt.Sprintf("%s (%s)", k.key, where))
}

func addFew(list *[]string, s string) {
	if len(*list) < few {
		*list = append(*list, s)
	}
}

func (t *tally) done() *Report {
	slices.SortFunc(t.waves[t.rules:], func(a, b Count) int { return strings.Compare(a.Wave, b.Wave) })
	t.report.Waves = t.waves
	return t.report
}
