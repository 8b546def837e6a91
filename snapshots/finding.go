package snapshots

import (
	"fmt"
	"strings"
)

// FindingKind is what sort of thing is wrong. The set is documented in
// docs/integrity.md, one row a kind; scripts may rely on the names.
type FindingKind string

// Kinds of findings of Verify.
const (
	EntryMissing    FindingKind = "log-entry-missing"
	EntryChanged    FindingKind = "log-entry-changed"
	EntryUnreadable FindingKind = "log-entry-unreadable"
	ForeignInLog    FindingKind = "log-foreign-file"
	PackWrong       FindingKind = "log-pack-wrong"

	ManifestMissing FindingKind = "manifest-missing"
	ManifestDamaged FindingKind = "manifest-damaged"
	ManifestWrong   FindingKind = "manifest-wrong"

	PartMissing FindingKind = "part-missing"
	PartSize    FindingKind = "part-wrong-size"
	PartDamaged FindingKind = "part-damaged"

	IndexMissing FindingKind = "index-missing"
	IndexSize    FindingKind = "index-wrong-size"
	IndexDamaged FindingKind = "index-damaged"

	LargeListMissing FindingKind = "large-list-missing"
	LargeListSize    FindingKind = "large-list-wrong-size"
	LargeListDamaged FindingKind = "large-list-damaged"

	LargeValueMissing FindingKind = "large-value-missing"
	LargeValueSize    FindingKind = "large-value-wrong-size"
	LargeValueDamaged FindingKind = "large-value-damaged"

	InputMissing FindingKind = "input-missing"
	InputSize    FindingKind = "input-wrong-size"
	InputDamaged FindingKind = "input-damaged"

	RowsDiffer  FindingKind = "rows-differ"
	TableDiffer FindingKind = "table-differs"
	PinUnknown  FindingKind = "pin-unknown"

	SecondDiffers FindingKind = "second-reader-differs"
	SecondFailed  FindingKind = "second-reader-failed"

	KeyGone    FindingKind = "key-gone"
	LeaseStale FindingKind = "lease-stale"
)

// KindInfo says what a kind of finding means to the person on call.
type KindInfo struct {
	Kind FindingKind
	// Damage: something that was stored is not there as it was. The others are
	// to be looked at, and nothing is lost.
	Damage bool
	Means  string
	Advice string
}

const (
	fromCopy = "bring it back from a copy of the store: parallelrun snapshots repair --from COPY"
	orAnew   = "; without a copy make the snapshot anew with the next run"
	logHands = "stop all runs; put the entry's file back from a backup by hand, byte for byte, and verify again; write nothing to the store before"
)

// Kinds are all kinds of findings, in the order of their documentation.
var Kinds = []KindInfo{
	{EntryMissing, true, "an entry of the log is not there, and later ones are", "stop all runs; " + fromCopy},
	{EntryChanged, true, "an entry of the log is not what the next one was written upon: one of the two was changed later", logHands},
	{EntryUnreadable, true, "a file of the log is no log entry any more: cut, overwritten or garbled", logHands},
	{ForeignInLog, true, "a file lies in the log's folder that nothing of ours writes; it bars reading", "move it out of the store"},
	{ManifestMissing, true, "the list of a snapshot's files is not there: the snapshot can't be read at all", fromCopy + orAnew},
	{ManifestDamaged, true, "the list of a snapshot's files was cut or changed: the snapshot can't be read at all", fromCopy + orAnew},
	{ManifestWrong, true, "the log and the list of files disagree about which snapshot it is", logHands},
	{PartMissing, true, "a file of rows is not there: these rows can't be read", fromCopy + orAnew},
	{PartSize, true, "a file of rows is shorter or longer than it was written: these rows can't be read", fromCopy + orAnew},
	{PartDamaged, true, "a file of rows was changed since it was written: these rows can't be read", fromCopy + orAnew},
	{IndexMissing, true, "an index is not there: its rows can be read, diffs fail", "make it anew from its rows: parallelrun snapshots repair"},
	{IndexSize, true, "an index is shorter or longer than it was written: its rows can be read, diffs fail", "make it anew from its rows: parallelrun snapshots repair"},
	{IndexDamaged, true, "an index was changed since it was written: its rows can be read, diffs fail", "make it anew from its rows: parallelrun snapshots repair"},
	{LargeListMissing, true, "the list of a part's large values (photos) is not there; rows and values can be read", "make it anew from its rows: parallelrun snapshots repair"},
	{LargeListSize, true, "the list of a part's large values is shorter or longer than it was written; rows and values can be read", "make it anew from its rows: parallelrun snapshots repair"},
	{LargeListDamaged, true, "the list of a part's large values was changed since it was written; rows and values can be read", "make it anew from its rows: parallelrun snapshots repair"},
	{LargeValueMissing, true, "a large value (a photo) is not there: rows that have it can't be read whole", fromCopy + orAnew},
	{LargeValueSize, true, "a large value is shorter or longer than it was written: rows that have it can't be read whole", fromCopy + orAnew},
	{LargeValueDamaged, true, "a large value was changed since it was written: rows that have it can't be read whole", fromCopy + orAnew},
	{InputMissing, true, "a configuration, mapping or template that a checkpoint pins is not there; its snapshots are whole", fromCopy},
	{InputSize, true, "a file that a checkpoint pins is shorter or longer than it was written; its snapshots are whole", fromCopy},
	{InputDamaged, true, "a file that a checkpoint pins was changed since it was written; its snapshots are whole", fromCopy},
	{RowsDiffer, true, "a part has the bytes it was written with, and they do not hold what its digests say: it was wrong from the start, by bad memory or a fault of the program", "no copy helps, they have the same bytes: make the snapshot anew with the next run, and report it"},
	{TableDiffer, true, "each part is right by itself, and together they are not the table that the manifest says", "no copy helps: make the snapshot anew with the next run, and report it"},
	{PinUnknown, true, "a checkpoint pins a snapshot that no entry of the log knows", logHands},
	{SecondDiffers, false, "another program's Parquet reader sees other values in a part than we do, though digests prove ours", "do not let other programs read this part; report it"},
	{SecondFailed, false, "another program's Parquet reader crashed, or ran out of memory or time, on a part that we can read", "nothing is lost; report it, and try a larger --memory"},
	{KeyGone, false, "secrets in a part are sealed in a key epoch whose keys are not there: rows can be read and compared, the secrets can't be opened", "if the epoch was destroyed on purpose, all is well; else restore its folder below keys/ from a copy by hand"},
	{PackWrong, false, "a pack of copies of log entries does not hold what the entries hold: it is passed over, and every command reads the entries one by one", "nothing is lost; move it and those after it out of the store, so that they are made anew"},
	{LeaseStale, false, "a run took a target, shows no sign of life, and never gave it back", "finish the run with: parallelrun resume; or free the target with: parallelrun snapshots repair --release TARGET"},
}

func (k FindingKind) info() KindInfo {
	for _, i := range Kinds {
		if i.Kind == k {
			return i
		}
	}
	return KindInfo{Kind: k, Damage: true, Advice: objectAdvice}
}

// Damage says whether findings of the kind are damage.
func (k FindingKind) Damage() bool { return k.info().Damage }

// role is what an object of the store is to a table or checkpoint.
type role int

const (
	rolePart role = iota
	roleIndex
	roleLargeList
	roleLargeValue
	roleInput
)

// trouble is what can be wrong with an object.
type trouble int

const (
	sound trouble = iota
	missing
	wrongSize
	damaged
)

var objectKinds = map[role][4]FindingKind{
	rolePart:       {missing: PartMissing, wrongSize: PartSize, damaged: PartDamaged},
	roleIndex:      {missing: IndexMissing, wrongSize: IndexSize, damaged: IndexDamaged},
	roleLargeList:  {missing: LargeListMissing, wrongSize: LargeListSize, damaged: LargeListDamaged},
	roleLargeValue: {missing: LargeValueMissing, wrongSize: LargeValueSize, damaged: LargeValueDamaged},
	roleInput:      {missing: InputMissing, wrongSize: InputSize, damaged: InputDamaged},
}

// Finding is one thing that is wrong, named once however many need it.
type Finding struct {
	Kind   FindingKind
	Object string // key of the object
	Table  string // a table that needs it, if it is of one
	What   string // what is wrong with this one
	Advice string
	// What depends on the object, in the whole store: snapshots, the refs that
	// name them, and the checkpoints that pin them or the object. All later
	// entries depend on an entry of the log; they are not listed.
	Snapshots   []SnapshotInfo
	Refs        []string
	Checkpoints []string
	// Target is whose lease it is.
	Target string
}

// Damage says whether the finding is damage, or only to be looked at.
func (f Finding) Damage() bool { return f.Kind.Damage() }

// String is the finding in one line.
func (f Finding) String() string {
	s := string(f.Kind) + " " + f.Object
	if f.Table != "" {
		s += " (table " + f.Table + ")"
	}
	if len(f.Checkpoints) > 0 {
		s += " (checkpoint " + strings.Join(f.Checkpoints, ", ") + ")"
	}
	return s + ": " + f.What + " (" + f.Advice + ")"
}

// corrupt is the finding as an error.
func (f Finding) corrupt(more string) *CorruptError {
	return &CorruptError{Object: f.Object, What: f.What + more, Advice: f.Advice}
}

func finding(kind FindingKind, object, format string, args ...any) Finding {
	return Finding{Kind: kind, Object: object, What: fmt.Sprintf(format, args...), Advice: kind.info().Advice}
}
