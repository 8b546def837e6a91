package parts

import (
	"iter"
	"slices"
)

// Sealed counts what needs a key epoch.
type Sealed struct {
	Parts int64 `json:"parts"`
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
}

// Add adds more.
func (s *Sealed) Add(more Sealed) {
	s.Parts += more.Parts
	s.Rows += more.Rows
	s.Bytes += more.Bytes
}

// EpochUnsaid stands for the epochs of a part that does not say which it needs:
// it may be any.
const EpochUnsaid uint32 = 0

// Sealed counts the table's parts by the key epochs that their boxes need. A
// part with boxes of several epochs counts for each.
func (t *Table) Sealed() map[uint32]Sealed {
	out := map[uint32]Sealed{}
	if !hasSecrets(t.Columns) {
		return out
	}
	for p := range t.parts() {
		for _, e := range p.epochs() {
			s := out[e]
			s.Add(Sealed{Parts: 1, Rows: p.Rows, Bytes: p.Object.Bytes})
			out[e] = s
		}
	}
	return out
}

// epochs of a part of a table with secrets.
func (p *Part) epochs() []uint32 {
	if p.Epochs == nil && p.Rows > 0 {
		return []uint32{EpochUnsaid}
	}
	return p.Epochs
}

// SealedIn yields the parts whose boxes are, or may be, of an epoch.
func (t *Table) SealedIn(epoch uint32) iter.Seq[Part] {
	return t.sealedParts(func(e uint32) bool { return e == epoch || e == EpochUnsaid })
}

// ToReseal yields the parts with boxes that are, or may be, of an epoch before
// one.
func (t *Table) ToReseal(epoch uint32) iter.Seq[Part] {
	return t.sealedParts(func(e uint32) bool { return e < epoch })
}

// NeedsReseal says whether a part of the table is one of those.
func (t *Table) NeedsReseal(p Part, epoch uint32) bool {
	return hasSecrets(t.Columns) && slices.ContainsFunc(p.epochs(), func(e uint32) bool { return e < epoch })
}

func (t *Table) sealedParts(in func(epoch uint32) bool) iter.Seq[Part] {
	return func(yield func(Part) bool) {
		if !hasSecrets(t.Columns) {
			return
		}
		for p := range t.parts() {
			if slices.ContainsFunc(p.epochs(), in) && !yield(p) {
				return
			}
		}
	}
}
