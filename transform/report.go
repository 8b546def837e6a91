package transform

import (
	"errors"
	"fmt"
)

// Report counts every row and field of a run, where it happens: read when a
// row is read, yielded when a row is written, so that a row dropped anywhere
// breaks Check. It holds no personal data beyond legacy keys and redacted
// values, and never a secret.
type Report struct {
	Sources  []SourceCount `json:"sources"`
	Entities []EntityCount `json:"entities"`
	Fields   []FieldCount  `json:"fields"`
	LeftOut  []LeftOut     `json:"left_out"`
	Remarks  []Remark      `json:"remarks,omitempty"`
	Rules    []RuleCount   `json:"rules"`
	// Aliases is what became of the aliases; nil: there are none.
	Aliases *AliasUse `json:"aliases,omitempty"`
	// Spilled is how many bytes went to (sealed) spill files.
	Spilled int64 `json:"spilled_bytes"`
}

// SourceCount is the first line of the equation, per legacy table:
// read = mapped + merged + excluded + rejected. A row that several rules take
// counts by its first candidate.
type SourceCount struct {
	Table    string `json:"table"`
	Read     int64  `json:"read"`
	Mapped   int64  `json:"mapped"`
	Merged   int64  `json:"merged"`
	Excluded int64  `json:"excluded"`
	Rejected int64  `json:"rejected"`
	// ExcludedBy splits the excluded rows by rule.
	ExcludedBy map[string]int64 `json:"excluded_by,omitempty"`
}

// EntityCount is what became of the candidates that the mapping made of one
// entity: candidates = yielded + merged + excluded + rejected.
type EntityCount struct {
	Entity     string `json:"entity"`
	Candidates int64  `json:"candidates"`
	Yielded    int64  `json:"yielded"`
	Merged     int64  `json:"merged"`
	Excluded   int64  `json:"excluded"`
	Rejected   int64  `json:"rejected"`
}

// FieldCount is what became of one field of the yielded rows that have a value
// for it.
type FieldCount struct {
	Entity  string `json:"entity"`
	Field   string `json:"field"`
	Carried int64  `json:"carried"`
	Changed int64  `json:"changed"`
	Encoded int64  `json:"encoded"`
}

// LeftOut is a value that goes nowhere: of a source attribute that no rule
// reads, or of a reference that leads to no row.
type LeftOut struct {
	// From is a legacy table or an entity.
	From   string `json:"from"`
	Field  string `json:"field"`
	Why    string `json:"why"`
	Rows   int64  `json:"rows"`
	Values int64  `json:"values"`
}

// Remark is what a person should know of rows that stand.
type Remark struct {
	Entity string `json:"entity"`
	Field  string `json:"field"`
	Text   string `json:"text"`
	Rows   int64  `json:"rows"`
}

// RuleCount is how many rows of an entity a rule rejected or excluded. A row
// that several rules reject counts under each.
type RuleCount struct {
	Entity   string    `json:"entity"`
	Class    string    `json:"class"`
	Rule     string    `json:"rule"`
	Rows     int64     `json:"rows"`
	Examples []Example `json:"examples,omitempty"`
}

// Example is one rejected row, values redacted.
type Example struct {
	Key     string `json:"key"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Classes of rows in the rejected tables.
const (
	ClassRejected = "rejected"
	ClassExcluded = "excluded"
)

// ErrUnbalanced is wrapped by the error of Report.Check: rows were lost or
// doubled on the way. The snapshot must not be used; it is a defect.
var ErrUnbalanced = errors.New("counts do not add up")

// Check proves both lines of the equation.
func (r *Report) Check() error {
	var errs []error
	for _, s := range r.Sources {
		if sum := s.Mapped + s.Merged + s.Excluded + s.Rejected; sum != s.Read {
			errs = append(errs, fmt.Errorf("%w: legacy table %s: read %d, accounted for %d", ErrUnbalanced, s.Table, s.Read, sum))
		}
	}
	for _, e := range r.Entities {
		if sum := e.Yielded + e.Merged + e.Excluded + e.Rejected; sum != e.Candidates {
			errs = append(errs, fmt.Errorf("%w: %s: %d candidates, accounted for %d", ErrUnbalanced, e.Entity, e.Candidates, sum))
		}
	}
	return errors.Join(errs...)
}

// Entity returns the counts of one entity.
func (r *Report) Entity(name string) EntityCount {
	for _, e := range r.Entities {
		if e.Entity == name {
			return e
		}
	}
	return EntityCount{Entity: name}
}

// Source returns the counts of one legacy table.
func (r *Report) Source(table string) SourceCount {
	for _, s := range r.Sources {
		if s.Table == table {
			return s
		}
	}
	return SourceCount{Table: table}
}

// Rule returns how many rows of an entity a rule rejected or excluded.
func (r *Report) Rule(entity, rule string) int64 {
	var n int64
	for _, c := range r.Rules {
		if c.Entity == entity && c.Rule == rule {
			n += c.Rows
		}
	}
	return n
}
