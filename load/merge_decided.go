package load

// decidedCell merges a column under a person's decision: it only counts where
// the rules alone leave a conflict.
func (m *merger) decidedCell(out *merged, i int, s cellState, take Take) any {
	withheld, kinds, reported, held := len(out.withheld), len(out.kinds), len(out.reported), out.held.Values[i]
	eff := m.decide(out, i, s)
	if len(out.withheld) == withheld && len(out.reported) == reported {
		return eff
	}
	out.withheld, out.kinds, out.reported = out.withheld[:withheld], out.kinds[:kinds], out.reported[:reported]
	if take == TakeKeymate {
		out.kept = append(out.kept, m.shape.Columns[i].Name)
		return eff
	}
	out.held.Values[i] = held
	all := *m
	all.allow, all.owners, all.decisions = everything, owners{}, nil
	return all.decide(out, i, s)
}

// everything allows all that an operator can ask for.
var everything = func() allowed {
	a := allowed{}
	for _, w := range AllowWords {
		a[w] = true
	}
	return a
}()
