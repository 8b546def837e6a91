package load

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// PlanFile describes one file of operations or of findings.
type PlanFile struct {
	File   string           `json:"file"` // under runs/<run>/plan/
	Lines  int              `json:"lines"`
	SHA256 snapshots.Digest `json:"sha256"`
}

// Section names the stage of a load that a range belongs to. Sections are
// carried out one after another.
type Section string

// The sections, in order.
const (
	SectionStructure   Section = "structure" // organizations, departments parent first, groups
	SectionParking     Section = "parking"   // temporary names, to open circles
	SectionUsers       Section = "users"
	SectionTakeovers   Section = "takeovers" // users who take names that others gave up, in order
	SectionCredentials Section = "credentials"
	SectionMemberships Section = "memberships"
	SectionDeletes     Section = "deletes" // children first
)

// Sections lists the sections in order.
var Sections = []Section{SectionStructure, SectionParking, SectionUsers, SectionTakeovers, SectionCredentials, SectionMemberships, SectionDeletes}

// Range is a run of operations that may be sent in any order and at once. A
// range is recorded in the store before any of it is sent.
type Range struct {
	N       int     `json:"n"` // order of execution, from 1
	Section Section `json:"section"`
	Table   string  `json:"table"`
	PlanFile
}

// Lists of findings that a plan keeps beside its operations.
const (
	ListConflicts = "conflicts" // rows that can't be settled by rule
	ListWithheld  = "withheld"  // access that is not brought back unless asked for
	ListWidening  = "widening"  // access that the plan widens
	ListDrift     = "drift"     // what the target changed since base and the plan brings back
	ListExtra     = "extra"     // what the target has beside ours; left alone
	ListDeferred  = "deferred"  // rows outside of what was looked at
	ListKept      = "kept"      // what the target's side owns, or others changed and a restore leaves
)

// Lists names the lists in the order of reports.
var Lists = []string{ListConflicts, ListWithheld, ListWidening, ListDrift, ListExtra, ListDeferred, ListKept}

// Finding is one entry of a list. It holds no values.
type Finding struct {
	Table   string        `json:"table"`
	ID      schemas.RowID `json:"id"`
	Key     string        `json:"key,omitempty"`
	Columns []string      `json:"columns,omitempty"`
	Kinds   []string      `json:"kinds,omitempty"` // words of AllowWords
	Reason  string        `json:"reason,omitempty"`
	// Owner is the key of the user who has the account that is in the way.
	Owner string `json:"owner,omitempty"`
}

// Manifest is a plan without its operations: what runs/<run>/plan/plan.json
// holds. It never changes.
type Manifest struct {
	Version int       `json:"version"`
	Run     string    `json:"run"`
	Target  string    `json:"target"`
	Dialect string    `json:"dialect"`
	Created time.Time `json:"created"`

	Base      snapshots.Digest `json:"base"`
	Desired   snapshots.Digest `json:"desired"`
	Observed  snapshots.Digest `json:"observed"`
	Effective snapshots.Digest `json:"effective"`

	// Reach is nil for everybody.
	Reach *Reached `json:"reach,omitempty"`
	// Restore is set when desired is a checkpoint's base.
	Restore   *RestoreOptions `json:"restore,omitempty"`
	Ownership Ownership       `json:"ownership"`
	// Complete are the waves whose users' profiles Keymate owns.
	Complete []string `json:"complete,omitempty"`
	Allow    []string `json:"allow,omitempty"`

	Operations int64                 `json:"operations"`
	Ranges     []Range               `json:"ranges,omitempty"`
	Lists      map[string][]PlanFile `json:"lists,omitempty"`

	// Counts are the planned equation: rows with an operation have the class
	// that it will give them.
	Counts Counts `json:"counts"`
	// Settled counts the rows that need no operation, part of Counts.
	Settled Counts `json:"settled"`
	// Work counts the operations that have a request of their own, by table and
	// kind: how long a load takes follows from it.
	Work   Work   `json:"work,omitempty"`
	Fields Fields `json:"fields,omitempty"`
	// Found counts findings by list, then reason, kind or column.
	Found  map[string]map[string]int64 `json:"found,omitempty"`
	Brakes []Brake                     `json:"brakes,omitempty"`
	// Access is what AccessDiff found, nil where it was not asked.
	Access *Access `json:"access,omitempty"`

	// Digest is the SHA-256 of this manifest with Digest empty, and so covers
	// every operation.
	Digest snapshots.Digest `json:"digest"`
}

// manifestVersion 2: an ownership by fields; 3: sections parking and takeovers.
const manifestVersion = 3

// Errors of plans.
var (
	// ErrPlanDamaged: a plan's file is not what was stored. Nothing was sent;
	// make a new plan.
	ErrPlanDamaged = errors.New("plan was changed or damaged since it was made")
	// ErrPlanStale: the plan was made from another base or for another target.
	// Nothing was sent; make a new plan.
	ErrPlanStale = errors.New("plan does not fit")
)

func planKey(run string, elem ...string) string {
	return path.Join(append([]string{"runs", run, "plan"}, elem...)...)
}

// sum is the digest of a manifest's content.
func (m Manifest) sum() (snapshots.Digest, error) {
	m.Digest = snapshots.Digest{}
	data, err := json.Marshal(m)
	return sha256.Sum256(data), err
}

// Seal binds the plan to the effective snapshot that Plan wrote, now that its
// digest is known, and stores the manifest: from here on the plan stands.
func (m *Manifest) Seal(ctx context.Context, files Files, effective snapshots.Digest) error {
	m.Effective = effective
	digest, err := m.sum()
	if err != nil {
		return fmt.Errorf("plan of run %s: %w", m.Run, err)
	}
	m.Digest = digest
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("plan of run %s: %w", m.Run, err)
	}
	if err := files.PutFile(ctx, planKey(m.Run, "plan.json"), data); err != nil {
		return fmt.Errorf("store plan of run %s: %w", m.Run, err)
	}
	return nil
}

// OpenPlan reads a stored plan and checks that its manifest is what was stored.
// Files of operations and findings are checked when they are read.
func OpenPlan(ctx context.Context, files Files, run string) (*Manifest, error) {
	data, err := files.ReadFile(ctx, planKey(run, "plan.json"))
	if err != nil {
		return nil, fmt.Errorf("plan of run %s: %w", run, err)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("plan of run %s: plan.json: %w: %v", run, ErrPlanDamaged, err)
	}
	if head.Version != manifestVersion {
		return nil, fmt.Errorf("plan of run %s: version %d, this program reads %d (use the program that made it, or make a new plan)", run, head.Version, manifestVersion)
	}
	m := &Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("plan of run %s: plan.json: %w: %v", run, ErrPlanDamaged, err)
	}
	digest, err := m.sum()
	if err != nil {
		return nil, err
	}
	if digest != m.Digest || m.Run != run {
		return nil, fmt.Errorf("plan of run %s: plan.json: %w: digest differs (make a new plan)", run, ErrPlanDamaged)
	}
	return m, nil
}

// Empty says that the plan has nothing to do.
func (m *Manifest) Empty() bool { return m.Operations == 0 }

// Operations yields the operations of one range.
func (m *Manifest) ReadRange(ctx context.Context, files Files, r Range) ([]Operation, error) {
	var ops []Operation
	err := m.readLines(ctx, files, r.PlanFile, func(dec *json.Decoder) error {
		var op Operation
		if err := dec.Decode(&op); err != nil {
			return err
		}
		ops = append(ops, op)
		return nil
	})
	return ops, err
}

// AllOperations yields the plan's operations in order of execution.
func (m *Manifest) AllOperations(ctx context.Context, files Files) iter.Seq2[Operation, error] {
	return func(yield func(Operation, error) bool) {
		for _, r := range m.Ranges {
			ops, err := m.ReadRange(ctx, files, r)
			if err != nil {
				yield(Operation{}, err)
				return
			}
			for _, op := range ops {
				if !yield(op, nil) {
					return
				}
			}
		}
	}
}

// Findings yields one of the plan's lists.
func (m *Manifest) Findings(ctx context.Context, files Files, list string) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		for _, pf := range m.Lists[list] {
			var found []Finding
			err := m.readLines(ctx, files, pf, func(dec *json.Decoder) error {
				var f Finding
				if err := dec.Decode(&f); err != nil {
					return err
				}
				found = append(found, f)
				return nil
			})
			if err != nil {
				yield(Finding{}, err)
				return
			}
			for _, f := range found {
				if !yield(f, nil) {
					return
				}
			}
		}
	}
}

// rangesOf returns a section's ranges in order.
func (m *Manifest) rangesOf(s Section) []Range {
	return slices.DeleteFunc(slices.Clone(m.Ranges), func(r Range) bool { return r.Section != s })
}

// Lines is how many operations a section has.
func (m *Manifest) Lines(s Section) (n int64) {
	for _, r := range m.rangesOf(s) {
		n += int64(r.Lines)
	}
	return n
}
