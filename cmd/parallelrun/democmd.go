package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/demo"
)

// demoFlags say what is played.
type demoFlags struct {
	dir      string
	users    int
	seed     uint64
	keycloak bool
	prepare  bool
}

func newDemo(a *app) *cobra.Command {
	f := demoFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play a whole migration on generated data",
		Long: "Generate a legacy directory that is dirty as real ones are, migrate it into a server inside this\n" +
			"program (with --keycloak: into a real Keycloak on PostgreSQL, started and stopped for it), migrate\n" +
			"it again, edit the target by hand and show that as a diff. Everything is left in the folder --dir.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.dir, "dir", "demo", "folder to play in; what an earlier demo left there is removed")
	cmd.Flags().IntVar(&f.users, "users", 0, "people of the first organization (default 10,000)")
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the generated data")
	cmd.Flags().BoolVar(&f.keycloak, "keycloak", false, "migrate into a real Keycloak")
	cmd.Flags().BoolVar(&f.prepare, "prepare", false, "only write the files, for trying the commands by hand")
	return cmd
}

// Edits that the demo makes by hand, and changed rows that it then shows.
const (
	editedTitles       = 200
	removedMemberships = 3
	driftRows          = 2
)

func (a *app) demo(ctx context.Context, f demoFlags) error {
	started := time.Now()
	files, err := starterFiles()
	if err != nil {
		return err
	}
	a.scene("a legacy directory, generated into %s", filepath.Join(f.dir, demo.LegacyFile))
	counts, err := demo.Prepare(f.dir, files, legacygen.Config{Users: f.users, Seed: f.seed})
	if err != nil {
		return ui.Refusef("name another folder with --dir", "%w", err)
	}
	a.say("%s entries: %s people, %s departments, %s groups, %s organizations; dirty on purpose, as real ones are",
		ui.Count(int64(counts.Entries)), ui.Count(int64(counts.Tables["people"])), ui.Count(int64(counts.Tables["units"])),
		ui.Count(int64(counts.Tables["groups"])), ui.Count(int64(counts.Tables["organizations"])))
	if f.prepare {
		a.say("next: cd %s && parallelrun run", f.dir)
		return nil
	}
	c, err := config.Load(filepath.Join(f.dir, config.DefaultName))
	if err != nil {
		return err
	}
	at, stop, err := a.demoTarget(ctx, f, c)
	if err != nil {
		return err
	}
	err = a.play(ctx, f, c, at)
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	a.say("")
	a.say("all of it took %s", ui.Elapsed(time.Since(started)))
	return nil
}

// demoTarget starts a real Keycloak, if asked, and points the configuration at
// it; the embedded server needs nothing.
func (a *app) demoTarget(ctx context.Context, f demoFlags, c *config.Config) (*pipelines.Endpoint, func() error, error) {
	if !f.keycloak {
		return nil, func() error { return nil }, nil
	}
	a.scene("a real Keycloak on PostgreSQL, started for this demo")
	since := time.Now()
	s, err := keycloak.Start(ctx, keycloak.Options{})
	if err != nil {
		return nil, nil, err
	}
	realm, err := s.NewRealm(ctx, keycloak.RealmOptions{Name: "demo"})
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	a.say("ready after %s at %s", ui.Elapsed(time.Since(since)), s.URL)
	at := &pipelines.Endpoint{URL: s.URL, Realm: realm.Name, ClientID: realm.Migrator.ID, ClientSecret: realm.Migrator.Secret}
	return at, s.Close, pointAt(c, realm)
}

// pointAt replaces the starting set's target by a real realm.
func pointAt(c *config.Config, realm *keycloak.Realm) error {
	_, t, err := c.Target("")
	if err != nil {
		return err
	}
	t.URL, t.Realm, t.Sandbox = realm.Server.URL, realm.Name, nil
	for _, client := range []struct {
		to   *config.Client
		from keycloak.Client
		env  string
	}{{&t.Auth, realm.Migrator, "PARALLELRUN_DEMO_CLIENT_SECRET"}, {&t.Proof, realm.Proof, "PARALLELRUN_DEMO_PROOF_SECRET"}} {
		if err := os.Setenv(client.env, client.from.Secret); err != nil {
			return err
		}
		secret, err := config.ParseSecret("${"+client.env+"}", c.Dir)
		if err != nil {
			return err
		}
		*client.to = config.Client{ClientID: client.from.ID, ClientSecret: secret}
	}
	for name := range c.Targets {
		c.Targets[name] = t
	}
	return nil
}

// play runs the acts.
func (a *app) play(ctx context.Context, f demoFlags, c *config.Config, at *pipelines.Endpoint) error {
	_, m, err := c.Migration("")
	if err != nil {
		return err
	}
	r, err := pipelines.Open(ctx, c, pipelines.OpenOptions{
		Memory: a.memory(m), Workers: a.workers(m), Progress: a.progress(), Tool: build().Version, Boundary: boundary,
	})
	if err != nil {
		return mappingErr(err)
	}
	err = a.acts(ctx, f, r, at)
	return errors.Join(err, r.Close())
}

func (a *app) acts(ctx context.Context, f demoFlags, r *pipelines.Runner, at *pipelines.Endpoint) error {
	logins, err := pipelines.ReadLogins(filepath.Join(f.dir, demo.LoginsFile))
	if err != nil {
		return err
	}
	a.scene("the first run: everything")
	first, err := r.Run(ctx, pipelines.RunOptions{Apply: true, Logins: logins})
	if err := a.act(first, err); err != nil {
		return err
	}
	a.scene("the second run over the same data: nothing to do")
	second, err := r.Run(ctx, pipelines.RunOptions{Apply: true})
	if err := a.act(second, err); err != nil {
		return err
	}
	a.scene("somebody edits %d people and takes away %d memberships in the target, behind our back", editedTitles, removedMemberships)
	if at == nil {
		own, _ := pipelines.EndpointOf(r.Target)
		at = &own
	}
	if err := demo.Meddle(ctx, *at, editedTitles, removedMemberships); err != nil {
		return err
	}
	drift, err := r.Drift(ctx, pipelines.DriftOptions{Rows: driftRows})
	if err != nil {
		return err
	}
	if err := a.out.Print(drift); err != nil {
		return err
	}
	return a.further(f, r, first)
}

// act prints an outcome in full.
func (a *app) act(out *pipelines.Outcome, err error) error {
	if err != nil {
		return err
	}
	return a.out.Print(out.View())
}

// further names what is left to look at.
func (a *app) further(f demoFlags, r *pipelines.Runner, first *pipelines.Outcome) error {
	a.scene("look further")
	at := "--config " + filepath.Join(f.dir, config.DefaultName)
	a.say("store    %s", r.Store.Location())
	for _, report := range first.Reports {
		a.say("report   %s", report)
	}
	commands := []string{
		"runs list", "runs show " + first.ID, "snapshots list", "snapshots diff " + first.Planned.Observed.Short() + " " + pipelines.BaseRef(r.TargetName) + " --stat", "snapshots verify",
	}
	if !f.keycloak {
		commands = append(commands, "drift", "run", "sandbox --target "+r.TargetName)
	}
	for _, c := range commands {
		a.say("try      %s %s %s", os.Args[0], c, at)
	}
	return nil
}

// scene announces the next piece of the demo.
func (a *app) scene(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.say("")
	a.say("%s", "── "+text+" "+strings.Repeat("─", max(3, 76-ui.Width(text))))
}

// say tells people something: data's own place is stdout, so that --json stays
// readable by programs.
func (a *app) say(format string, args ...any) {
	if a.out.JSON() {
		a.notef(format, args...)
		return
	}
	fmt.Fprintf(a.stdout, format+"\n", args...)
}
