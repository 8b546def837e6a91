package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/snapshots"
)

func newCheckpointShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show name",
		Short: "Show all that a checkpoint pins, and whether its secrets can be opened",
		Long: "Show all that a checkpoint pins: snapshots by role, each named checkpoint/NAME/ROLE wherever a\n" +
			"snapshot is named, the files, and the key epochs with whether they can be opened. Exit code 1\n" +
			"if a key epoch is gone or opens for another identity only: its secrets can't be restored.",
		Args: exactly("name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.showCheckpoint(cmd.Context(), args[0])
		},
	}
}

// checkpointView is the data of `checkpoint show`.
type checkpointView struct {
	Name      string      `json:"name"`
	Time      time.Time   `json:"time"`
	Entry     uint64      `json:"entry"`
	Target    string      `json:"target"`
	Empty     bool        `json:"empty,omitempty"`
	Reason    string      `json:"reason"`
	Run       string      `json:"run,omitempty"`
	Snapshots []pinView   `json:"snapshots"`
	Inputs    []inputView `json:"inputs"`
	Epochs    []epochView `json:"key_epochs"`
	// Complete are the waves that were complete.
	Complete []string `json:"complete_waves,omitempty"`
	// Problem says why its secrets can't be opened.
	Problem string `json:"problem,omitempty"`
	Next    string `json:"hint,omitempty"`
}

// pinView is one pinned snapshot.
type pinView struct {
	Role   string `json:"role"`
	Digest string `json:"digest"`
	Users  int64  `json:"users"`
	Rows   int64  `json:"rows"`
	// Damaged says what is wrong with its manifest.
	Damaged string `json:"damaged,omitempty"`
}

// inputView is one pinned file.
type inputView struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// epochView is one key epoch.
type epochView struct {
	Epoch uint32               `json:"epoch"`
	State snapshots.EpochState `json:"state"`
}

// epochWords say what an epoch's state means.
var epochWords = map[snapshots.EpochState]string{
	snapshots.EpochOpens:   "can be opened",
	snapshots.EpochGone:    "gone",
	snapshots.EpochLocked:  "wrapped for another identity",
	snapshots.EpochUntried: "there; not tried without an identity",
}

func (v checkpointView) Text(p *ui.Page) {
	fields := []string{"checkpoint", v.Name, "target", v.Target, "taken", v.Time.Format(time.RFC3339), "reason", v.Reason}
	if v.Run != "" {
		fields = append(fields, "run", v.Run)
	}
	if v.Empty {
		fields = append(fields, "base", "none: nothing was loaded yet, nothing stood in the target")
	}
	if len(v.Complete) > 0 {
		fields = append(fields, "complete", "waves "+strings.Join(v.Complete, ", "))
	}
	for _, e := range v.Epochs {
		fields = append(fields, fmt.Sprintf("key epoch %d", e.Epoch), epochWords[e.State])
	}
	p.Fields(fields...)
	if len(v.Snapshots) > 0 {
		p.Blank()
		t := ui.NewTable("ROLE", "DIGEST", "USERS", "ROWS", "NAME")
		for _, s := range v.Snapshots {
			users, rows := ui.Count(s.Users), ui.Count(s.Rows)
			if s.Damaged != "" {
				users, rows = "?", "?"
			}
			t.Row(s.Role, shortDigest(s.Digest), users, rows, snapshots.PinName(v.Name, s.Role))
		}
		p.Table(t)
	}
	if len(v.Inputs) > 0 {
		p.Blank()
		t := ui.NewTable("INPUT", "SIZE", "SHA-256")
		for _, in := range v.Inputs {
			t.Row(in.Name, ui.Bytes(in.Size), shortDigest(in.SHA256))
		}
		p.Table(t)
	}
	if v.Problem != "" {
		p.Blank()
		p.Line("its secrets can't be opened: %s", v.Problem)
		p.Line("  hint: %s", v.Next)
	}
}

func (a *app) showCheckpoint(ctx context.Context, name string) error {
	s, c, err := a.readCheckpoint(ctx, name)
	if err != nil {
		return err
	}
	v := checkpointView{Name: c.Name, Time: c.Time.UTC(), Entry: c.N, Target: c.Target, Empty: c.Empty, Reason: c.Reason, Run: c.Run,
		Snapshots: []pinView{}, Inputs: []inputView{}, Epochs: []epochView{}, Complete: c.Complete}
	damage, err := a.pins(ctx, s, c, &v)
	if err != nil {
		return err
	}
	for _, in := range c.Inputs {
		v.Inputs = append(v.Inputs, inputView{Name: in.Name, SHA256: in.SHA256.String(), Size: in.Size})
	}
	if err := a.epochs(ctx, s, c, &v); err != nil {
		return err
	}
	if err := a.out.Print(v); err != nil {
		return err
	}
	switch {
	case damage != nil:
		return damage
	case v.Problem != "":
		return ui.ErrFound
	}
	return nil
}

// pins fills in the pinned snapshots. damage is the first that can't be read.
func (a *app) pins(ctx context.Context, s *snapshots.Store, c *pipelines.Checkpoint, v *checkpointView) (damage, err error) {
	for _, role := range c.Pinned() {
		counts, err := pipelines.PinnedRows(ctx, s, c.Pin(role))
		pin := pinView{Role: role, Digest: c.Pin(role).String(), Users: counts.Users, Rows: counts.All}
		switch {
		case snapshots.IsCorrupt(err):
			pin.Damaged = err.Error()
			if damage == nil {
				damage = err
			}
		case err != nil:
			return nil, err
		}
		v.Snapshots = append(v.Snapshots, pin)
	}
	return damage, nil
}

// epochs fills in the key epochs, and what stands in the way of opening them.
func (a *app) epochs(ctx context.Context, s *snapshots.Store, c *pipelines.Checkpoint, v *checkpointView) error {
	ring, err := a.keyring(ctx, s)
	if err != nil {
		a.notef("no key was tried: %v", err)
	}
	epochs, err := s.EpochsOf(ctx, *c)
	if snapshots.IsCorrupt(err) {
		return nil // told by pins
	}
	if err != nil {
		return err
	}
	states, err := s.EpochStates(ctx, epochs, ring)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		v.Epochs = append(v.Epochs, epochView{e, states[e]})
	}
	err = c.Openable(ctx, s, ring)
	switch gone, ok := errors.AsType[*snapshots.EpochGoneError](err); {
	case ok:
		v.Next, v.Problem = hintOf(gone)
		return nil
	case errors.Is(err, seal.ErrNoKey):
		return nil // there, and nobody tried
	}
	return err
}

// keyring is what the configured identity opens, nil without a configuration
// or an identity.
func (a *app) keyring(ctx context.Context, s *snapshots.Store) (*seal.Keyring, error) {
	c, err := a.loadConfig()
	if errors.Is(err, config.ErrNoConfig) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return pipelines.UnlockStore(ctx, c, s)
}
