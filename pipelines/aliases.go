package pipelines

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/transform"
)

// LoadAliases reads what a migration knows of keys that changed: its file of
// aliases, and the decisions that a key came back as another person. Nil: none.
func LoadAliases(m config.Migration) (*transform.Aliases, error) {
	a, err := fileAliases(m)
	if err != nil || m.Decisions == "" {
		return a, err
	}
	list, err := config.LoadDecisions(m.Decisions)
	if err != nil {
		return nil, err
	}
	return a.With(others(list, a))
}

// fileAliases are those of the file alone.
func fileAliases(m config.Migration) (*transform.Aliases, error) {
	if m.Aliases == "" {
		return nil, nil
	}
	return transform.LoadAliases(m.Aliases, config.ShortPath(m.Aliases))
}

// others are the people whom decisions set apart from the former holders of
// their keys.
func others(list []config.Decision, aliases *transform.Aliases) []transform.Another {
	var out []transform.Another
	for _, d := range list {
		if d.Take == string(load.TakeNew) {
			out = append(out, transform.Another{Key: aliases.RowKey(d.Table, d.Key), Place: d.Place})
		}
	}
	return out
}

// openAliases reads the migration's aliases, within the run's memory.
func (r *Runner) openAliases() (err error) {
	if r.Aliases, err = LoadAliases(r.Config); err != nil {
		return err
	}
	if need := r.Aliases.Bytes(); r.Memory > 0 && need > r.Memory/2 {
		return ui.Refusef(fmt.Sprintf("give --memory %s or more", config.Size(2*need)), "%s: the aliases take %s, more than half of the memory that the run may use",
			config.ShortPath(r.Config.Aliases), config.Size(need))
	}
	return nil
}

// aliasesOf are those that a run was started with.
func (r *Runner) aliasesOf(ctx context.Context, rec Record) (*transform.Aliases, error) {
	a, err := r.fileAliasesOf(ctx, rec)
	if err != nil {
		return nil, err
	}
	list, err := r.decidedOf(ctx, rec)
	if err != nil {
		return nil, err
	}
	return a.With(others(list, a))
}

// fileAliasesOf are those of the file that a run was started with.
func (r *Runner) fileAliasesOf(ctx context.Context, rec Record) (*transform.Aliases, error) {
	return inputOf(ctx, r.Store, rec, aliasesFolder, transform.ParseAliases)
}

// aliasesFolder is where a run keeps its file of aliases.
const aliasesFolder = "aliases/"

// aliasesInput is the file of aliases as a run keeps it.
func aliasesInput(file string, data []byte) Input {
	return Input{Name: aliasesFolder + filepath.Base(file), Data: data}
}
