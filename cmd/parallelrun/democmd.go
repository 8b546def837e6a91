package main

import (
	"bytes"
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines/demo"
)

func newDemo(a *app) *cobra.Command {
	o := demo.Options{}
	prepare := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Play a whole migration in waves on generated data",
		Long: "Generate a legacy directory that is dirty as real ones are, and take it into a server inside this\n" +
			"program: department A as the pilot, B to E as waves, each with a checkpoint and a login proof; people\n" +
			"edited in the target by hand meanwhile, a bad mapping caught by the brake, a wave undone and run\n" +
			"again, damage repaired from a named checkpoint. Each scene prints the commands as one would type\n" +
			"them, carries them out and shows what they print, shortened. All is left in the folder --dir,\n" +
			"and the commands go on working there.\n\n" +
			"With --keycloak the target is a real Keycloak on PostgreSQL, started and stopped for it: it takes\n" +
			"longer to write, so there are 2,000 people instead of 4,000 unless --users says otherwise.\n\n" +
			"--prepare only writes the files that `parallelrun init` does, with the directory, its logins and a key.",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Files, err = starterFiles(); err != nil {
				return err
			}
			o.Say, o.Program, o.Type = a.demoText(), os.Args[0], a.typist(cmd)
			if prepare {
				return demo.OnlyPrepare(o)
			}
			limitMemory(a.flags.memory + demoServer)
			summary, err := demo.Play(cmd.Context(), o)
			if err == nil && a.out.JSON() {
				err = a.out.Print(summary)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "demo", "folder to play in; what an earlier demo left there is removed")
	cmd.Flags().IntVar(&o.Users, "users", 0, "people of the first organization (default 4,000; with --keycloak 2,000)")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "seed of the generated data")
	cmd.Flags().BoolVar(&o.Keycloak, "keycloak", false, "migrate into a real Keycloak")
	cmd.Flags().BoolVar(&prepare, "prepare", false, "only write the files, for trying the commands by hand")
	return cmd
}

// demoServer is about what the server takes that runs in the demo's process,
// beside the commands.
const demoServer config.Size = 1 << 30

// demoText is where the demo is told: stdout, unless that is for programs.
func (a *app) demoText() *ui.Page {
	w := a.stdout
	if a.out.JSON() {
		w = a.stderr
	}
	return ui.NewPage(w, terminalWidth(w))
}

// typist carries out command lines in this process, as if they were typed, with
// the flags of the demo itself that hold for every command.
func (a *app) typist(cmd *cobra.Command) demo.Shell {
	var shared []string
	for _, name := range []string{"memory", "workers", "log-level"} {
		if f := cmd.Flags().Lookup(name); f.Changed {
			shared = append(shared, "--"+name, f.Value.String())
		}
	}
	return func(ctx context.Context, args []string) demo.Reply {
		var stdout, stderr bytes.Buffer
		r := demo.Reply{}
		inner := newApp(&stdout, &stderr)
		inner.inside = &inside{
			progress: func() *ui.Progress { return a.fleeting(&stderr) }, width: terminalWidth(a.stdout),
			seen: func(v ui.View) { r.Views = append(r.Views, v) },
		}
		r.Code = execute(ctx, inner, append(args, shared...))
		r.Text, r.Errors = stdout.String(), stderr.String()
		return r
	}
}

// fleeting shows the progress of a command inside another: only while it
// lasts, and only on a terminal.
func (a *app) fleeting(notes io.Writer) *ui.Progress {
	return ui.NewProgress(a.stderr, ui.ProgressOptions{Terminal: isTerminal(a.stderr), Width: terminalWidth(a.stderr), Fleeting: true, Notes: notes})
}
