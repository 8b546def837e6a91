package snapshots

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Action is one thing that a log entry does: a SnapshotAction, RefAction,
// LeaseAction, NamespaceAction, CheckpointAction, WaveAction, ManifestAction,
// DropAction, GarbageAction, EndEpochAction, or an UnknownAction that a newer program wrote.
type Action interface {
	// kind and version stand in the log.
	kind() string
	version() int
	// check says whether the action may follow upon st, which holds the
	// actions before it in the same entry.
	check(st *State) error
	// apply folds the action into st.
	apply(st *State, e *Entry)
}

// SnapshotAction makes a snapshot known: where its manifest is, and what it
// is. The same digest may be committed again, with another manifest, dataset
// or stage; the latest manifest counts.
type SnapshotAction struct {
	Digest   Digest   `json:"digest"`
	Manifest Digest   `json:"manifest"`
	Dataset  string   `json:"dataset"`           // which migration, source or target
	Stage    string   `json:"stage"`             // legacy, desired, observed, ...: an open set
	Parents  []Digest `json:"parents,omitempty"` // snapshots it was made from
}

// RefAction names a snapshot, moves the name, or takes it away.
type RefAction struct {
	Name string `json:"name"`
	// Digest is the snapshot; zero takes the name away.
	Digest Digest `json:"digest"`
	// Old, if set, is what the name must stand for before: zero for nothing.
	Old *Digest `json:"old,omitempty"`
}

// LeaseAction takes or releases a target.
type LeaseAction struct {
	Target string `json:"target"`
	// Epoch counts the holders of a target; a take is one higher than the
	// last, a release names its own.
	Epoch   uint64 `json:"epoch"`
	Release bool   `json:"release,omitempty"`
	Holder  Holder `json:"holder"`
}

// Holder is who holds a lease.
type Holder struct {
	Run     string `json:"run"`
	Session string `json:"session"` // its renewals lie under sessions/<session>/
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	// Machine and Started tell this process from another with the same host
	// name and number; empty where the system does not say.
	Machine string `json:"machine,omitempty"`
	Started string `json:"started,omitempty"`
}

// NamespaceAction fixes the id namespace of a source, for good.
type NamespaceAction struct {
	Source    string `json:"source"`
	Namespace string `json:"namespace"`
}

// UnknownAction is what this program can't read. A store that holds one is
// never written.
type UnknownAction struct {
	Kind    string
	Version int
	Raw     json.RawMessage
}

const (
	kindSnapshot  = "snapshot"
	kindRef       = "ref"
	kindLease     = "lease"
	kindNamespace = "namespace"
)

func (SnapshotAction) kind() string  { return kindSnapshot }
func (RefAction) kind() string       { return kindRef }
func (LeaseAction) kind() string     { return kindLease }
func (NamespaceAction) kind() string { return kindNamespace }
func (a UnknownAction) kind() string { return a.Kind }

func (SnapshotAction) version() int  { return 1 }
func (RefAction) version() int       { return 1 }
func (LeaseAction) version() int     { return 1 }
func (NamespaceAction) version() int { return 1 }
func (a UnknownAction) version() int { return a.Version }

func (a SnapshotAction) check(*State) error {
	switch {
	case a.Digest.IsZero() || a.Manifest.IsZero():
		return errors.New("snapshot action without digest or manifest")
	case a.Dataset == "" || a.Stage == "":
		return fmt.Errorf("snapshot %s: dataset and stage must be named", a.Digest.Short())
	}
	return nil
}

func (a SnapshotAction) apply(st *State, e *Entry) {
	info := SnapshotInfo{SnapshotAction: a, Run: e.Run, N: e.N, Time: e.Time}
	st.hold(a.Digest, a.Manifest, "committed anew", e)
	st.History = append(st.History, info)
	st.Snapshots[a.Digest] = info
	delete(st.Dropped, a.Digest)
}

// Characters of names.
const (
	lowerHex     = "0123456789abcdef"
	alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	mostOfName   = 128
	leastOfHex   = 6 // fewer are no short form of a digest
)

// consistsOf says whether a text has no other bytes than these.
func consistsOf(s, bytes string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(bytes, r) })
}

// CheckRefName says whether a name may be a ref: letters, digits and ._/@=-,
// not to be taken for a digest nor for what a checkpoint pins.
func CheckRefName(name string) error {
	if strings.HasPrefix(name, checkpointPrefix) {
		return fmt.Errorf("ref name %q: names that begin with %s are those of checkpoints", name, checkpointPrefix)
	}
	return checkName("ref", name)
}

// checkName holds a name of whatever kind against what all names must be.
func checkName(kind, name string) error {
	if name == "" || len(name) > mostOfName || !consistsOf(name, alphanumeric+"._/@=-") || !consistsOf(name[:1], alphanumeric) {
		return fmt.Errorf("%s name %q: use up to 128 letters, digits and ._/@=-, a letter or digit first", kind, name)
	}
	if len(name) >= leastOfHex && consistsOf(name, lowerHex) {
		return fmt.Errorf("%s name %q looks like a digest: add another letter or sign", kind, name)
	}
	return nil
}

func (a RefAction) check(st *State) error {
	if err := CheckRefName(a.Name); err != nil {
		return err
	}
	if _, ok := st.Snapshots[a.Digest]; !ok && !a.Digest.IsZero() {
		return fmt.Errorf("ref %q: %w", a.Name, st.unknown(a.Digest.String()))
	}
	if got := st.Refs[a.Name].Digest; a.Old != nil && got != *a.Old {
		return &RefMovedError{Name: a.Name, Want: *a.Old, Got: got}
	}
	return nil
}

func (a RefAction) apply(st *State, e *Entry) {
	if a.Digest.IsZero() {
		delete(st.Refs, a.Name)
		return
	}
	st.Refs[a.Name] = RefInfo{Digest: a.Digest, N: e.N, Time: e.Time, Reason: e.Reason}
}

func (a LeaseAction) check(st *State) error {
	if a.Target == "" || a.Holder.Session == "" {
		return errors.New("lease action without target or session")
	}
	now := st.Leases[a.Target]
	switch {
	case a.Release && (now.Released || now.Epoch != a.Epoch || now.Holder.Session != a.Holder.Session):
		return &LeaseLostError{Target: a.Target, Epoch: a.Epoch, Why: "another has it, or it was released"}
	case !a.Release && a.Epoch != now.Epoch+1:
		return &LeaseLostError{Target: a.Target, Epoch: a.Epoch, Why: fmt.Sprintf("epoch %d was taken before us", now.Epoch)}
	}
	return nil
}

func (a LeaseAction) apply(st *State, e *Entry) {
	if a.Release {
		l := st.Leases[a.Target]
		l.Released = true
		st.Leases[a.Target] = l
		return
	}
	st.Leases[a.Target] = LeaseInfo{Epoch: a.Epoch, Holder: a.Holder, N: e.N, Since: e.Time}
}

func (a NamespaceAction) check(st *State) error {
	if a.Source == "" || a.Namespace == "" {
		return errors.New("namespace action without source or namespace")
	}
	if fixed, ok := st.Namespaces[a.Source]; ok && fixed != a.Namespace {
		return &NamespaceError{Source: a.Source, Fixed: fixed, Given: a.Namespace}
	}
	return nil
}

func (a NamespaceAction) apply(st *State, _ *Entry) {
	if _, ok := st.Namespaces[a.Source]; !ok {
		st.Namespaces[a.Source] = a.Namespace
	}
}

func (a UnknownAction) check(*State) error { return ErrNewerStore }

func (a UnknownAction) apply(st *State, e *Entry) {
	st.Unknown = append(st.Unknown, fmt.Sprintf("%s: action %q version %d", logKey(e.N), a.Kind, a.Version))
}

// actionHead precedes every action's own fields.
type actionHead struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
}

// encodeAction writes kind and version, then the action's fields, in one
// object.
func encodeAction(a Action) (json.RawMessage, error) {
	if u, ok := a.(UnknownAction); ok {
		return u.Raw, nil
	}
	head, err := json.Marshal(actionHead{a.kind(), a.version()})
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	return append(append(head[:len(head)-1], ','), body[1:]...), nil
}

// decodeAction reads an action; what it does not know in full, down to a
// single field, becomes an UnknownAction.
func decodeAction(raw json.RawMessage) (Action, error) {
	var head actionHead
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	unknown := UnknownAction{Kind: head.Kind, Version: head.Version, Raw: bytes.Clone(raw)}
	if head.Version != 1 {
		return unknown, nil
	}
	switch head.Kind {
	case kindSnapshot:
		return decodeAs[SnapshotAction](raw, unknown)
	case kindRef:
		return decodeAs[RefAction](raw, unknown)
	case kindLease:
		return decodeAs[LeaseAction](raw, unknown)
	case kindNamespace:
		return decodeAs[NamespaceAction](raw, unknown)
	case kindCheckpoint:
		return decodeAs[CheckpointAction](raw, unknown)
	case kindManifest:
		return decodeAs[ManifestAction](raw, unknown)
	case kindWave:
		return decodeAs[WaveAction](raw, unknown)
	case kindDrop:
		return decodeAs[DropAction](raw, unknown)
	case kindGarbage:
		return decodeAs[GarbageAction](raw, unknown)
	case kindEndEpoch:
		return decodeAs[EndEpochAction](raw, unknown)
	}
	return unknown, nil
}

func decodeAs[A Action](raw json.RawMessage, unknown UnknownAction) (Action, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	delete(fields, "kind")
	delete(fields, "version")
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var a A
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(&a) == nil {
		return a, nil
	}
	// With a field that we don't know it is a newer writer's; else it is broken.
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, err
	}
	return unknown, nil
}
