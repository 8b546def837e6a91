package load

import (
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

// credentialVerdict is what became of one credential of a user that stands in
// the target.
type credentialVerdict struct {
	effective schemas.Row
	// unknown: the target's secret is not ours, so effective has none and the
	// row never enters base.
	unknown  bool
	kind     Kind // Create or Update; empty for nothing to do
	columns  []string
	widens   []string
	withheld bool
	reason   string
	drift    bool
	// quiet: legacy did not change it either, so that there is no conflict.
	quiet bool
}

// passwords settles credentials by type and date: hashes can't be read back,
// and a target may rewrite them at the first login.
type passwords struct {
	shape   *schemas.Table
	changed int // position of changed_at
	secret  int
	seen    columns
	allow   allowed
	// restores: desired is a checkpoint, so that a password that is gone since
	// is not one that legacy gave anew.
	restores bool
}

func newPasswords(shape *schemas.Table, seen columns, allow allowed) *passwords {
	return &passwords{shape: shape, changed: shape.Column("changed_at"), secret: shape.Column("secret"), seen: seen, allow: allow}
}

// date gives a credential of a source without dates one: base's while the
// secret is the same, else the plan's. Dates have millisecond precision, the
// coarsest of any target.
func (p *passwords) date(base, desired *schemas.Row, plan time.Time) {
	if desired.Values[p.changed] != nil {
		return
	}
	if base != nil && p.sameSecret(base, desired) {
		desired.Values[p.changed] = base.Values[p.changed]
		return
	}
	desired.Values[p.changed] = plan.Truncate(time.Millisecond).UnixMicro()
}

func (p *passwords) sameSecret(a, b *schemas.Row) bool {
	return equalCells(&p.shape.Columns[p.secret], a.Values[p.secret], b.Values[p.secret])
}

func (p *passwords) at(r *schemas.Row) (int64, bool) {
	v, ok := r.Values[p.changed].(int64)
	return v, ok
}

// newer says that the target's credential was made after one of ours; false
// where its date is not known.
func (p *passwords) newer(observed, ours *schemas.Row) bool {
	if observed == nil {
		return false
	}
	theirs, known := p.at(observed)
	at, dated := p.at(ours)
	return known && dated && theirs > at
}

// merge settles one credential. dated says that the source gave its date;
// observed is nil when the target has no credential of the type.
func (p *passwords) merge(base, desired, observed *schemas.Row, dated bool) credentialVerdict {
	v := credentialVerdict{effective: cloneRow(*desired)}
	if observed == nil {
		return p.missing(v, base)
	}
	legacyChanged := base == nil || !p.sameSecret(base, desired) || base.Values[p.changed] != desired.Values[p.changed]
	ours, _ := p.at(desired)
	theirs, known := p.at(observed)
	switch {
	case !known: // the dialect gives no dates: base is all there is
		if legacyChanged && base != nil {
			return p.write(v, base)
		}
		return v
	case base == nil && !dated:
		return p.keepTheirs(v, observed, base, "the source gives no date, so whose password is newer can't be told")
	case base != nil && !dated && legacyChanged && base.Values[p.changed] != any(theirs):
		return p.keepTheirs(v, observed, base, "changed on both sides, and the source gives no date")
	case theirs > ours:
		v.quiet = !legacyChanged
		return p.keepTheirs(v, observed, base, "the target's is newer")
	case theirs == ours && (base == nil || !legacyChanged):
		return v
	}
	v.drift = !legacyChanged
	return p.write(v, base)
}

// missing settles a credential that the target does not have.
func (p *passwords) missing(v credentialVerdict, base *schemas.Row) credentialVerdict {
	v.kind = Create
	if base == nil && !p.restores {
		return v
	}
	if p.allow[AllowPassword] {
		v.widens = []string{AllowPassword}
		return v
	}
	v.kind, v.withheld, v.unknown = "", true, true
	v.reason = "removed in the target"
	if base == nil {
		v.reason = "removed since the checkpoint"
	}
	return v
}

func (p *passwords) write(v credentialVerdict, base *schemas.Row) credentialVerdict {
	v.kind = Update
	for i, c := range p.shape.Columns {
		if base == nil || !equalCells(&c, base.Values[i], v.effective.Values[i]) {
			v.columns = append(v.columns, c.Name)
		}
	}
	v.columns = asSet(v.columns)
	return v
}

// keepTheirs leaves a newer password of the target alone, unless the operator
// asks for the older one.
func (p *passwords) keepTheirs(v credentialVerdict, observed, base *schemas.Row, reason string) credentialVerdict {
	if p.allow[AllowPassword] {
		v = p.write(v, base)
		v.widens = []string{AllowPassword}
		return v
	}
	v.withheld, v.unknown, v.reason = true, true, reason
	for i := range p.shape.Columns {
		if p.seen[i] {
			v.effective.Values[i] = observed.Values[i]
		}
	}
	v.effective.Values[p.secret] = nil
	return v
}

// decided settles by a person's word a credential that is otherwise withheld.
func (p *passwords) decided(v credentialVerdict, base, desired, observed *schemas.Row, dated bool, take Take) credentialVerdict {
	if take == TakeKeymate {
		v.withheld, v.quiet = false, true
		return v
	}
	all := *p
	all.allow = everything
	return all.merge(base, desired, observed, dated)
}
