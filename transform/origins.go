package transform

// Origin is a rule that makes rows of an entity.
type Origin struct {
	Rule  string
	Table string // legacy table that it reads
	// OwnKey: a row's key is that of its source row, so that the source can be
	// asked for it. Else the rule makes keys by an expression.
	OwnKey bool
}

// Origins lists the rules that make rows of an entity, in the order of the
// mapping.
func (m *Mapping) Origins(entity string) []Origin {
	var out []Origin
	for _, rules := range [][]*rule{m.rules, m.dependent} {
		for _, r := range rules {
			if r.entity.name == entity {
				out = append(out, Origin{Rule: r.name, Table: r.from.Name, OwnKey: r.key == nil && !r.nested})
			}
		}
	}
	return out
}
