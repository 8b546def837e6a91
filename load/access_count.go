package load

import (
	"cmp"
	"maps"
	"slices"
)

// gainsKept is how many kinds of gains a manifest names.
const gainsKept = 100

// accessTally counts an access diff while it is made. It grows with the number
// of roles and places, not with that of users.
type accessTally struct {
	total       AccessCounts
	waves       map[string]AccessCounts
	gains, news map[Grant]int64
	gate        *gateKeeper
}

func newAccessTally(waves bool, gate *WideningGate) *accessTally {
	t := &accessTally{gains: map[Grant]int64{}, news: map[Grant]int64{}}
	if waves {
		t.waves = map[string]AccessCounts{}
	}
	if gate != nil {
		t.gate = newGateKeeper(*gate)
	}
	return t
}

func (t *accessTally) add(c *AccessChange) {
	t.total.add(c)
	if t.waves != nil {
		n := t.waves[c.Wave]
		n.add(c)
		t.waves[c.Wave] = n
	}
	to := t.gains
	if c.New {
		to = t.news
	}
	for _, g := range c.Gained {
		if c.New && (g.Kind != GrantRole || g.inside != "") {
			continue
		}
		g.key, g.inside, g.Also = "", "", nil
		if g.Kind == GrantTime && g.What != "without an end" {
			g.What = "a later end"
		}
		to[g]++
	}
	if t.gate != nil {
		t.gate.look(c)
	}
}

func (n *AccessCounts) add(c *AccessChange) {
	count := func(to *int64, when bool) {
		if when {
			*to++
		}
	}
	count(&n.Widened, c.Widens())
	count(&n.Narrowed, c.Narrows())
	count(&n.New, c.New)
	count(&n.Enabled, c.Enabled)
	count(&n.Recreated, c.Recreated)
	count(&n.Passwords, c.OlderPassword)
}

func (t *accessTally) into(a *Access) {
	a.Total, a.Waves = t.total, t.waves
	a.Gains, a.MoreGains = mostFrequent(t.gains)
	a.NewGains, a.MoreNewGains = mostFrequent(t.news)
	if t.gate != nil {
		a.Gate = t.gate.outcome()
	}
}

func mostFrequent(counts map[Grant]int64) (out []GainCount, more int) {
	for g, n := range maps.All(counts) {
		out = append(out, GainCount{g, n})
	}
	slices.SortFunc(out, func(a, b GainCount) int {
		return cmp.Or(cmp.Compare(b.Users, a.Users), cmp.Compare(a.String(), b.String()))
	})
	kept := min(gainsKept, len(out))
	return out[:kept], len(out) - kept
}
