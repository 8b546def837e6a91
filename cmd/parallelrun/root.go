package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
)

// commands make the commands below the root, in the order of the help.
func commands() []func(*app) *cobra.Command {
	return []func(*app) *cobra.Command{
		newInit,
		newConfig,
		newKey,
		newPlan,
		newLoad,
		newRun,
		newResume,
		newRestore,
		newUndo,
		newDrift,
		newExtract,
		newWaves,
		newRuns,
		newAccess,
		newConflicts,
		newExplain,
		newRunbook,
		newSnapshots,
		newGC,
		newStore,
		newCheckpoint,
		newSandbox,
		newDemo,
		newVersion,
		newSecondReader,
	}
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   ui.Program,
		Short: "Move organizations from a legacy IAM system to Keymate while both stay in service",
		Long: "parallelrun moves organizations from a legacy IAM system to Keymate while both stay in service.\n\n" +
			"Every state is a snapshot in a store, every change is a diff: extract and transform make\n" +
			"snapshots, plan compares them with the target, load writes, verify compares again.\n" +
			"Commands that write to a target show their plan first and ask for --apply.\n\n" +
			"New here: `parallelrun init demo` writes a set of files that runs as it is.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.memorySet = cmd.Flags().Changed("memory")
			return a.prepare()
		},
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return ui.Refusef(helpHint(cmd), "%w", err)
	})
	a.globalFlags(root)
	for _, c := range commands() {
		root.AddCommand(c(a))
	}
	root.SuggestionsMinimumDistance = 2
	root.SetUsageTemplate(strings.TrimRight(root.UsageTemplate(), "\n") + "\n" + exitCodeHelp())
	return root
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVarP(&a.flags.config, "config", "c", config.DefaultName, "configuration file")
	f.StringVar(&a.flags.store, "store", "", "store (a folder, or s3://BUCKET/PREFIX), instead of the configuration's")
	f.BoolVar(&a.flags.json, "json", false, "print data as JSON")
	f.Var(&a.flags.memory, "memory", "memory limit, such as 512MiB")
	f.IntVar(&a.flags.workers, "workers", 0, "goroutines that work at once (0: one per core)")
	f.StringVar(&a.flags.logLevel, "log-level", "warn", "what to log on stderr: debug, info, warn or error")
}

// exitCodeHelp is the end of every help text.
func exitCodeHelp() string {
	var b strings.Builder
	b.WriteString("\nExit codes:\n")
	for _, c := range ui.Codes {
		fmt.Fprintf(&b, "  %d  %s\n", c.Code, c.Meaning)
	}
	return b.String()
}

// group is the action of a command that only holds others: help if nothing was
// asked for, else an error that knows the names.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := helpHint(cmd)
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean `%s %s`?", cmd.CommandPath(), near[0])
	}
	return ui.Refusef(hint, "unknown command %q for %q", args[0], cmd.CommandPath())
}

func helpHint(cmd *cobra.Command) string {
	return fmt.Sprintf("`%s --help` shows what there is", cmd.CommandPath())
}

// newGroup makes a command that only holds others.
func newGroup(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, RunE: group, Args: cobra.ArbitraryArgs}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(below...)
	return cmd
}

// exactly refuses a call with another number of arguments than it names.
func exactly(names ...string) cobra.PositionalArgs { return between(len(names), names...) }

// between allows the last arguments to be left out.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return ui.Refusef("usage: "+cmd.UseLine(), "%s: %s is missing", cmd.CommandPath(), names[len(args)])
		case len(args) > len(names):
			return ui.Refusef("usage: "+cmd.UseLine(), "%s: %q is one argument too many", cmd.CommandPath(), args[len(names)])
		}
		return nil
	}
}
