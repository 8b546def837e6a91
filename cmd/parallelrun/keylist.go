package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

func newKeyList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the key epochs, who can open them and how much needs them",
		Long: "List the key epochs, who can open them and how much needs them: known snapshots, those of them that a\n" +
			"name or a checkpoint holds, drafts of runs that may go on, and rows of parts with secrets. `key show`\n" +
			"names them.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.keyList(cmd.Context()) },
	}
}

func newKeyShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show epoch",
		Short: "Show a key epoch and everything that needs it",
		Args:  exactly("epoch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			epoch, err := epochArg(args[0])
			if err != nil {
				return err
			}
			return a.keyShow(cmd.Context(), epoch)
		},
	}
}

// epochArg reads the number of a key epoch.
func epochArg(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, ui.Refusef("`parallelrun key list` shows all", "%q is not the number of a key epoch", text)
	}
	return uint32(n), nil
}

// keyListView is the data of `key list`.
type keyListView struct {
	Store string `json:"store"`
	Entry uint64 `json:"entry"`
	// LongLived is who can open the key that MACs are made with.
	LongLived []string       `json:"long_lived_recipients"`
	Epochs    []keyEpochView `json:"epochs"`
	// Unsaid is what does not say which epochs it needs.
	Unsaid []snapshots.EpochNeed `json:"unsaid"`
	// Held are runs that hold a target.
	Held []string `json:"held"`
}

// keyEpochView is one key epoch.
type keyEpochView struct {
	Epoch      uint32               `json:"epoch"`
	Current    bool                 `json:"current"`
	State      snapshots.EpochState `json:"state"`
	Recipients []string             `json:"recipients"`
	Files      []string             `json:"files"`
	Damaged    string               `json:"damaged,omitempty"`
	Ended      *endedView           `json:"ended,omitempty"`
	// Snapshots, Named of them by a ref or checkpoint, and Drafts of runs need
	// it.
	Snapshots int `json:"snapshots"`
	Named     int `json:"named"`
	Drafts    int `json:"drafts"`
	parts.Sealed
	Needs []snapshots.EpochNeed `json:"needs"`
}

// endedView is the end of a key epoch.
type endedView struct {
	By    string    `json:"by"`
	Time  time.Time `json:"time"`
	Entry uint64    `json:"entry"`
}

func viewOfEpoch(e snapshots.KeyEpoch) keyEpochView {
	v := keyEpochView{Epoch: e.Epoch, Current: e.Current, State: e.State, Recipients: append([]string{}, e.Wrapped.Recipients...),
		Files: append([]string{}, e.Wrapped.Files...), Needs: append([]snapshots.EpochNeed{}, e.Needs...)}
	if e.Wrapped.Damaged != nil {
		v.Damaged = e.Wrapped.Damaged.Error()
	}
	if e.Ended.N > 0 {
		v.Ended = &endedView{By: e.Ended.By, Time: e.Ended.Time.UTC(), Entry: e.Ended.N}
	}
	for _, n := range e.Needs {
		switch {
		case n.Digest.IsZero():
			v.Drafts++
		case len(n.By) > 0:
			v.Named++
			v.Snapshots++
		default:
			v.Snapshots++
		}
		v.Add(n.Sealed)
	}
	return v
}

// words say what the state means.
func (v keyEpochView) words() string {
	switch {
	case v.Ended != nil && len(v.Files) > 0:
		return "ended, its keys are still there"
	case v.Ended != nil:
		return "ended, its keys are destroyed"
	case v.Damaged != "":
		return "damaged"
	case v.Current:
		return "newest, " + epochWords[v.State]
	}
	return epochWords[v.State]
}

func (v keyListView) Text(p *ui.Page) {
	if len(v.Epochs) == 0 {
		p.Line("the store in %s has no keys: it takes no secrets", v.Store)
		return
	}
	t := ui.NewTable("EPOCH", "STATE", "WRAPPED FOR", "SNAPSHOTS", "NAMED", "DRAFTS", "PARTS")
	for _, e := range v.Epochs {
		t.Row(e.Epoch, e.words(), cmp.Or(shortRecipients(e.Recipients), "-"), ui.Count(int64(e.Snapshots)), ui.Count(int64(e.Named)), ui.Count(int64(e.Drafts)), ui.Count(e.Parts))
	}
	p.Table(t)
	if n := len(v.Unsaid); n > 0 {
		p.Line("%s snapshots have parts that do not say which epochs they need, which may be any: `parallelrun key reseal --apply` writes them anew", ui.Count(int64(n)))
	}
	for _, run := range v.Held {
		p.Line("no epoch can be destroyed while %s goes on", run)
	}
}

// shortRecipients names recipients in a table: keys of age by their beginnings.
func shortRecipients(all []string) string {
	var out []string
	for _, r := range all {
		if strings.HasPrefix(r, "age1") && len(r) > 16 {
			r = r[:12] + "..."
		}
		out = append(out, r)
	}
	return strings.Join(out, ", ")
}

func (a *app) keyReport(ctx context.Context) (*snapshots.Store, *snapshots.KeyReport, error) {
	s, err := a.readStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	ring, err := a.keyring(ctx, s)
	if err != nil {
		a.notef("no key was tried: %v", err)
	}
	r, err := s.KeyReport(ctx, ring, pipelines.DraftRoots(s))
	return s, r, err
}

func (a *app) keyList(ctx context.Context) error {
	s, r, err := a.keyReport(ctx)
	if err != nil {
		return err
	}
	v := keyListView{Store: s.Location(), Entry: r.Entry, LongLived: append([]string{}, r.Long.Recipients...), Epochs: []keyEpochView{},
		Unsaid: append([]snapshots.EpochNeed{}, r.Unsaid...), Held: append([]string{}, r.Held...)}
	for _, e := range r.Epochs {
		v.Epochs = append(v.Epochs, viewOfEpoch(e))
	}
	return a.out.Print(v)
}

// keyShowView is the data of `key show`.
type keyShowView struct {
	keyEpochView
	Unsaid []snapshots.EpochNeed `json:"unsaid"`
	Held   []string              `json:"held"`
}

func (v keyShowView) Text(p *ui.Page) {
	fields := []string{"key epoch", fmt.Sprint(v.Epoch), "state", v.words()}
	for _, r := range v.Recipients {
		fields = append(fields, "wrapped for", r)
	}
	if v.Damaged != "" {
		fields = append(fields, "damaged", v.Damaged)
	}
	if v.Ended != nil {
		fields = append(fields, "ended", fmt.Sprintf("by %s on %s (log entry %d)", v.Ended.By, v.Ended.Time.Format(time.RFC3339), v.Ended.Entry))
	}
	p.Fields(fields...)
	if all := append(v.Needs, v.Unsaid...); len(all) > 0 {
		p.Blank()
		p.Table(needsTable(all))
	}
	if len(v.Held) > 0 {
		p.Blank()
		p.Line("as long as it goes on: %s", strings.Join(v.Held, ", "))
	}
}

// needsTable lists what needs a key epoch.
func needsTable(needs []snapshots.EpochNeed) *ui.Table {
	t := ui.NewTable("SNAPSHOT", "STAGE", "DATASET", "PARTS", "ROWS", "SIZE", "HELD BY")
	for _, n := range needs {
		by, digest := strings.Join(n.By, ", "), "(draft)"
		if !n.Digest.IsZero() {
			digest, by = n.Digest.Short(), cmp.Or(by, "(no name; not dropped)")
		}
		if n.Epoch == parts.EpochUnsaid {
			by += "; its parts do not say their epochs"
		}
		t.Row(digest, cmp.Or(n.Stage, "-"), cmp.Or(n.Dataset, "-"), ui.Count(n.Parts), ui.Count(n.Rows), ui.Bytes(n.Bytes), by)
	}
	return t
}

func (a *app) keyShow(ctx context.Context, epoch uint32) error {
	_, r, err := a.keyReport(ctx)
	if err != nil {
		return err
	}
	var known []uint32
	for _, e := range r.Epochs {
		if e.Epoch == epoch {
			return a.out.Print(keyShowView{keyEpochView: viewOfEpoch(e), Unsaid: append([]snapshots.EpochNeed{}, r.Unsaid...), Held: append([]string{}, r.Held...)})
		}
		known = append(known, e.Epoch)
	}
	return &snapshots.UnknownEpochError{Epoch: epoch, Known: known}
}

// openKeys unlocks the store with the configured identity.
func (a *app) openKeys(ctx context.Context) (*pipelines.UnlockedStore, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	b, err := a.openPlace(ctx)
	if err != nil {
		return nil, err
	}
	k, err := pipelines.OpenKeys(ctx, c, b)
	if err != nil {
		return nil, storeError(err)
	}
	return k, nil
}

// recipientTexts are recipients as they print.
func recipientTexts(to []seal.Recipient) []string {
	out := make([]string, len(to))
	for i, r := range to {
		out[i] = r.String()
	}
	return out
}
