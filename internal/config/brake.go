package config

import "cmp"

// Brake limits mass change per entity: a run stops before its first write when
// it would pass both a kind's rows and its ratio.
type Brake struct {
	BrakeKinds
	// Entities replace limits for single entities; what they leave out is as in
	// the limit of all.
	Entities map[string]BrakeKinds `json:"entities,omitempty"`
	// Shrinks limits what a table of the source, and an entity, may lose
	// between two runs.
	Shrinks BrakeLimit `json:"shrinks"`
}

// BrakeKinds are the limits by kind of change; nil is the default.
type BrakeKinds struct {
	Creates  *BrakeLimit `json:"creates,omitempty"`
	Updates  *BrakeLimit `json:"updates,omitempty"`
	Disables *BrakeLimit `json:"disables,omitempty"`
	Deletes  *BrakeLimit `json:"deletes,omitempty"`
	Enables  *BrakeLimit `json:"enables,omitempty"`
	Grants   *BrakeLimit `json:"grants,omitempty"`
}

// BrakeLimit is passed by more than Rows rows that are also more than Ratio of
// the entity's rows. A nil field means the default.
type BrakeLimit struct {
	Rows  *int64   `json:"rows,omitempty"`
	Ratio *float64 `json:"ratio,omitempty"`
}

// Limit is a BrakeLimit with defaults filled in.
type Limit struct {
	Rows  int64
	Ratio float64
}

// Defaults of the brake: of each kind that has a limit, and of what a source
// may lose.
var (
	DefaultBrake   = Limit{Rows: 20, Ratio: 0.02}
	DefaultShrinks = Limit{Rows: 5, Ratio: 0.2}
)

// brakeDefaults are the kinds that have a limit without a word in the
// configuration. A first load creates everything, and a new rule may change
// everything: both would train people to override the brake.
var brakeDefaults = map[string]bool{"disables": true, "deletes": true, "enables": true, "grants": true}

func (k BrakeKinds) byName() map[string]*BrakeLimit {
	return map[string]*BrakeLimit{
		"creates": k.Creates, "updates": k.Updates, "disables": k.Disables,
		"deletes": k.Deletes, "enables": k.Enables, "grants": k.Grants,
	}
}

func (l *BrakeLimit) or(d Limit) Limit {
	if l == nil {
		return d
	}
	return Limit{Rows: *cmp.Or(l.Rows, &d.Rows), Ratio: *cmp.Or(l.Ratio, &d.Ratio)}
}

// Limits returns the limits of all entities by kind; a kind that is not in it
// has none.
func (b Brake) Limits() map[string]Limit {
	out := map[string]Limit{}
	for kind, l := range b.byName() {
		if l != nil || brakeDefaults[kind] {
			out[kind] = l.or(DefaultBrake)
		}
	}
	return out
}

// EntityLimits returns the limits that single entities have of their own.
func (b Brake) EntityLimits() map[string]map[string]Limit {
	all := b.Limits()
	out := map[string]map[string]Limit{}
	for entity, kinds := range b.Entities {
		out[entity] = map[string]Limit{}
		for kind, l := range kinds.byName() {
			if l == nil {
				continue
			}
			d, ok := all[kind]
			if !ok {
				d = DefaultBrake
			}
			out[entity][kind] = l.or(d)
		}
	}
	return out
}

// ShrinkLimit returns what a table may lose, with defaults filled in.
func (b Brake) ShrinkLimit() Limit { return b.Shrinks.or(DefaultShrinks) }
