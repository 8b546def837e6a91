// Package demo plays the reference scenario from end to end: a dirty legacy
// directory of 4,000 people is generated and moves in waves, with a
// checkpoint before each and a login proof after it, while people edit the
// target by hand, a mapping goes wrong, a wave is undone, and damage is
// repaired from a named checkpoint.
//
// Nouns: the stage is the folder it all happens in; a scene is a few commands, typed one after the other, with what
// they print; a claim is what a scene says and holds its commands' results against; the meddler is the administrator
// who edits the target by hand.
//
// Start with Play, which `parallelrun demo` calls; scenes.go is the scenario.
package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/ui"
)

// Shell carries out a command of this program as if it were typed: the same
// code, in this process.
type Shell func(ctx context.Context, args []string) Reply

// Reply is how a command ended.
type Reply struct {
	Code ui.Code
	// Text is what it printed for people on stdout, Errors what on stderr.
	Text, Errors string
	// Views are the data behind the text.
	Views []ui.View
}

// Options say what is played, and where it is told.
type Options struct {
	Dir string
	// Users of the first organization; zero: 4,000, of a real Keycloak 2,000.
	Users int
	Seed  uint64
	// Keycloak: a real one, not the server inside this program.
	Keycloak bool
	// Files are the starting set by name.
	Files map[string][]byte
	// Program is how this program was called, for commands that are shown.
	Program string
	Type    Shell
	Say     *ui.Page
}

// Sizes of the demo without --users.
const (
	defaultUsers  = 4_000
	keycloakUsers = 2_000
)

func (o *Options) users() int {
	switch {
	case o.Users > 0:
		return o.Users
	case o.Keycloak:
		return keycloakUsers
	}
	return defaultUsers
}

func (o *Options) config() string { return filepath.Join(o.Dir, config.DefaultName) }

func (o *Options) generated() legacygen.Config {
	return legacygen.Config{Users: o.users(), Seed: o.Seed}
}

// OnlyPrepare sets the stage with the starting set as it is, and plays nothing.
func OnlyPrepare(o Options) error {
	p := &play{Options: o}
	p.scene("a legacy directory, generated into " + filepath.Join(o.Dir, LegacyFile))
	if err := p.prepare(o.Files); err != nil {
		return err
	}
	p.say("next: cd %s && parallelrun run", o.Dir)
	return nil
}

// Play sets the stage and plays the scenes on it. It ends with an error where
// a command does not do what its scene claims.
func Play(ctx context.Context, o Options) (_ *Summary, err error) {
	started := time.Now()
	p := &play{Options: o, sum: &Summary{Dir: o.Dir, Target: sandboxTarget, People: o.users()}}
	files, stop, err := p.target(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	p.scene("a legacy directory, and a migration of it in five waves: " + o.config())
	if err := p.prepare(files); err != nil {
		return nil, err
	}
	p.say("what follows are commands as one types them, and what they print, shortened")
	if err := p.atTarget(ctx, func() error { return p.playAll(ctx) }); err != nil {
		return nil, err
	}
	p.sum.Seconds = time.Since(started).Seconds()
	p.scene("the migration in figures")
	p.sum.Text(p.Say)
	p.further()
	return p.sum, p.Say.Err()
}

func (p *play) playAll(ctx context.Context) error {
	for _, s := range scenes {
		p.scene(strings.NewReplacer("DAMAGED", ui.Count(int64(p.damaged()))).Replace(s.title))
		if err := s.play(p, ctx); err != nil {
			return fmt.Errorf("demo: %s: %w", s.title, err)
		}
	}
	return nil
}

// prepare sets the stage and tells what it holds.
func (p *play) prepare(files map[string][]byte) error {
	counts, err := Prepare(p.Dir, files, p.generated())
	if err != nil {
		return ui.Refusef("name another folder with --dir", "%w", err)
	}
	n := func(table string) string { return ui.Count(int64(counts.Tables[table])) }
	p.say("%s entries: %s people, %s departments, %s groups, %s organizations; dirty on purpose, as real ones are",
		ui.Count(int64(counts.Entries)), n("people"), n("units"), n("groups"), n("organizations"))
	return nil
}
