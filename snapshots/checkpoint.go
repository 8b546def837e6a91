package snapshots

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

// Roles of the snapshots that a checkpoint pins.
const (
	RoleBase       = "base"
	RoleLegacy     = "legacy"
	RoleDesired    = "desired"
	RoleEffective  = "effective"
	RoleObserved   = "observed"
	RoleAssignment = "assignment"
	RoleFlags      = "flags"
)

// roles are those of CheckpointAction.Snapshots, in the order that people read
// them.
var roles = []string{RoleBase, RoleEffective, RoleObserved, RoleDesired, RoleLegacy, RoleAssignment}

// CheckpointAction pins what stood in a target, with all that it came from,
// under a name that never moves; or takes the name away.
type CheckpointAction struct {
	Name   string `json:"name"`
	Target string `json:"target,omitempty"`
	// Empty: nothing was ever confirmed in the target, so there is no base, and
	// to restore means that nothing was there.
	Empty bool `json:"empty,omitempty"`
	// Snapshots are the pinned ones by role; the base is there unless Empty.
	Snapshots map[string]Digest `json:"snapshots,omitempty"`
	// Inputs are configuration, mapping and templates as bytes.
	Inputs []CheckpointInput `json:"inputs,omitempty"`
	// Epochs are the key epochs that the secrets of the pinned snapshots may
	// need, ascending: all that the store had keys of.
	Epochs []uint32 `json:"epochs,omitempty"`
	// Flags is the snapshot of the users' routing flags, if there were any.
	Flags Digest `json:"flags,omitzero"`
	// Complete are the waves whose users' profiles the target owned then,
	// ascending.
	Complete []string `json:"complete,omitempty"`
	// Drop takes the name away; no other field but Name is set then.
	Drop bool `json:"drop,omitempty"`
}

// CheckpointInput is one file, kept as bytes. Name is a relative path.
type CheckpointInput struct {
	Name string `json:"name"`
	Blob
}

// CheckpointInfo is what the log says of a checkpoint.
type CheckpointInfo struct {
	CheckpointAction
	Run    string // that made it, empty if a person did
	Reason string
	N      uint64 // log entry
	Time   time.Time
}

const (
	kindCheckpoint   = "checkpoint"
	checkpointPrefix = "checkpoint/"
)

func (CheckpointAction) kind() string { return kindCheckpoint }
func (CheckpointAction) version() int { return 1 }

// Base is the snapshot of what stood in the target, zero for nothing.
func (a CheckpointAction) Base() Digest { return a.Snapshots[RoleBase] }

// Pinned lists the roles of the checkpoint's snapshots, base first.
func (a CheckpointAction) Pinned() []string {
	var out []string
	for _, role := range append(slices.Clone(roles), RoleFlags) {
		if !a.Pin(role).IsZero() {
			out = append(out, role)
		}
	}
	return out
}

// Pin is the snapshot in a role, zero for none.
func (a CheckpointAction) Pin(role string) Digest {
	if role == RoleFlags {
		return a.Flags
	}
	return a.Snapshots[role]
}

// PinName is how a checkpoint's snapshot is named wherever a snapshot is.
func PinName(checkpoint, role string) string { return checkpointPrefix + checkpoint + "/" + role }

// CurrentName stands for what is in the target now where checkpoints are
// compared, so no checkpoint has it.
const CurrentName = "now"

// CheckCheckpointName says whether a checkpoint may have the name: what a ref
// may be called, but for CurrentName.
func CheckCheckpointName(name string) error {
	if name == CurrentName {
		return fmt.Errorf("checkpoint name %q stands for what is in the target now: choose another", name)
	}
	return checkName("checkpoint", name)
}

func (a CheckpointAction) check(st *State) error {
	if a.Drop {
		return a.checkDrop(st)
	}
	if err := CheckCheckpointName(a.Name); err != nil {
		return err
	}
	if have, taken := st.Checkpoints[a.Name]; taken {
		return &CheckpointExistsError{Name: a.Name, Have: have}
	}
	switch {
	case a.Target == "":
		return fmt.Errorf("checkpoint %q: target must be named", a.Name)
	case a.Empty && !a.Base().IsZero():
		return fmt.Errorf("checkpoint %q: it has a base and says that there is none", a.Name)
	case !a.Empty && a.Base().IsZero():
		return fmt.Errorf("checkpoint %q: it has no base and does not say so", a.Name)
	case !slices.IsSorted(a.Epochs):
		return fmt.Errorf("checkpoint %q: key epochs do not ascend", a.Name)
	case !slices.IsSorted(a.Complete):
		return fmt.Errorf("checkpoint %q: complete waves do not ascend", a.Name)
	}
	return errors.Join(a.checkPins(st), a.checkInputs())
}

func (a CheckpointAction) checkDrop(st *State) error {
	if _, err := st.Checkpoint(a.Name); err != nil {
		return err
	}
	if a.Target != "" || a.Empty || len(a.Snapshots) > 0 || len(a.Inputs) > 0 || len(a.Epochs) > 0 || len(a.Complete) > 0 || !a.Flags.IsZero() {
		return fmt.Errorf("checkpoint %q: an action that drops it holds nothing else", a.Name)
	}
	return nil
}

// checkPins makes sure that every pinned snapshot is known.
func (a CheckpointAction) checkPins(st *State) error {
	for _, role := range slices.Sorted(maps.Keys(a.Snapshots)) {
		if !slices.Contains(roles, role) {
			return fmt.Errorf("checkpoint %q: role %q is not known", a.Name, role)
		}
		if a.Snapshots[role].IsZero() {
			return fmt.Errorf("checkpoint %q: %s names no snapshot", a.Name, role)
		}
	}
	for _, role := range a.Pinned() {
		if _, ok := st.Snapshots[a.Pin(role)]; !ok {
			return fmt.Errorf("checkpoint %q, %s: %w", a.Name, role, st.unknown(a.Pin(role).String()))
		}
	}
	return nil
}

// checkInputs makes sure that the files could be written out below a folder.
func (a CheckpointAction) checkInputs() error {
	seen := map[string]bool{}
	for _, in := range a.Inputs {
		if !fs.ValidPath(in.Name) || in.Name == "." || seen[in.Name] {
			return fmt.Errorf("checkpoint %q: input %q is no relative path, or stands twice", a.Name, in.Name)
		}
		if in.SHA256.IsZero() {
			return fmt.Errorf("checkpoint %q: input %q has no digest", a.Name, in.Name)
		}
		seen[in.Name] = true
	}
	return nil
}

func (a CheckpointAction) apply(st *State, e *Entry) {
	if a.Drop {
		delete(st.Checkpoints, a.Name)
		return
	}
	st.Checkpoints[a.Name] = CheckpointInfo{CheckpointAction: a, Run: e.Run, Reason: e.Reason, N: e.N, Time: e.Time}
}

// Checkpoint finds a checkpoint by its name; else the error is an
// *UnknownCheckpointError.
func (st State) Checkpoint(name string) (CheckpointInfo, error) {
	if c, ok := st.Checkpoints[name]; ok {
		return c, nil
	}
	return CheckpointInfo{}, &UnknownCheckpointError{Name: name, Near: nearest(name, slices.Collect(maps.Keys(st.Checkpoints)))}
}

// CheckpointsByTime lists the checkpoints, oldest first.
func (st State) CheckpointsByTime() []CheckpointInfo {
	return slices.SortedFunc(maps.Values(st.Checkpoints), func(a, b CheckpointInfo) int {
		if a.N != b.N {
			return int(a.N) - int(b.N)
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// pinned finds the snapshot that a name such as checkpoint/<name>/<role>
// stands for. ok: the name is of a checkpoint that there is.
func (st State) pinned(name string) (_ SnapshotInfo, ok bool, _ error) {
	rest, found := strings.CutPrefix(name, checkpointPrefix)
	at := strings.LastIndexByte(rest, '/')
	if !found || at < 0 {
		return SnapshotInfo{}, false, nil
	}
	c, ok := st.Checkpoints[rest[:at]]
	if !ok {
		return SnapshotInfo{}, false, nil
	}
	role := rest[at+1:]
	if d := c.Pin(role); !d.IsZero() {
		return st.Snapshots[d], true, nil
	}
	e := &UnknownSnapshotError{Name: name, Why: fmt.Sprintf("checkpoint %s pins %s", c.Name, strings.Join(c.Pinned(), ", "))}
	switch {
	case c.Empty && role == RoleBase:
		e.Why = fmt.Sprintf("checkpoint %s was taken before the first load: nothing stood in the target", c.Name)
	case len(c.Pinned()) == 0:
		e.Why = fmt.Sprintf("checkpoint %s pins no snapshot", c.Name)
	}
	return SnapshotInfo{}, true, e
}

// pinNames lists the names that pinned finds.
func (st State) pinNames() (names []string) {
	for name, c := range st.Checkpoints {
		for _, role := range c.Pinned() {
			names = append(names, PinName(name, role))
		}
	}
	return names
}
