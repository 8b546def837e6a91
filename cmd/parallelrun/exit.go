package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/seal/awskms"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/waves"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/local"
	"github.com/parallelrun/parallelrun/snapshots/s3"
	"github.com/parallelrun/parallelrun/transform"
)

// exitRule leads from errors to an exit code.
type exitRule struct {
	code  ui.Code
	match func(error) bool
}

// exitRules is the one table from errors to exit codes; the first rule that
// matches wins. What no rule knows is a failure.
var exitRules = []exitRule{
	{ui.Failed, is(ui.ErrFound)},
	{ui.Failed, as[*snapshots.LeaseLostError]}, // whatever its last requests came to: a resume looks
	{ui.UnknownOutcome, as[*snapshots.OutcomeUnknownError]},
	{ui.Corrupt, snapshots.IsCorrupt},
	{ui.Corrupt, is(seal.ErrDamagedKey, seal.ErrOpen)},
	{ui.UnknownOutcome, is(snapshots.ErrUnknownOutcome)},
	{ui.UnknownOutcome, targetSaid(load.Unknown)},
	{ui.Refused, targetSaid(load.Setup)},
	{ui.Unreachable, targetSaid(load.Transient)},
	{ui.Failed, targetSaid(load.Permanent)},
	{ui.Refused, is(snapshots.ErrNoStore, snapshots.ErrNotEmpty, snapshots.ErrNewerStore, snapshots.ErrNoTable)},
	{ui.Refused, is(local.ErrNoStoreDir, local.ErrCantMake, local.ErrNoLinks, fs.ErrPermission, syscall.ENOTDIR)},
	{ui.Refused, is(s3.ErrRefused, config.ErrCustomerKey)},
	{ui.Unreachable, is(s3.ErrUnreachable, awskms.ErrUnreachable)},
	{ui.Refused, is(awskms.ErrRefused)},
	{ui.Refused, as[*snapshots.UnknownSnapshotError]},
	{ui.Refused, as[*snapshots.RefMovedError]},
	{ui.Refused, is(snapshots.ErrManifestMoved, snapshots.ErrNoObject, snapshots.ErrCantSweep, snapshots.ErrNotHeld)},
	{ui.Refused, as[*snapshots.NeededError]},
	{ui.Refused, as[*snapshots.DroppedRunError]},
	{ui.Failed, as[*snapshots.CollectedError]},
	{ui.Refused, as[*snapshots.EpochNeededError]},
	{ui.Refused, as[*snapshots.EpochEndedError]},
	{ui.Refused, as[*snapshots.UnknownEpochError]},
	{ui.Refused, is(snapshots.ErrCurrentEpoch, snapshots.ErrNotNewest)},
	{ui.Refused, as[*snapshots.CheckpointExistsError]},
	{ui.Refused, as[*snapshots.UnknownCheckpointError]},
	{ui.Refused, as[*snapshots.WaveStateError]},
	{ui.Refused, as[*snapshots.NamespaceError]},
	{ui.Refused, as[*snapshots.LeaseHeldError]},
	{ui.Unreachable, is(snapshots.ErrBroken)},
	{ui.Refused, is(seal.ErrNoKey, seal.ErrWrongIdentity, seal.ErrIdentityExists, seal.ErrEpochMissing)},
	{ui.Refused, is(config.ErrNoConfig, config.ErrStoreKind, config.ErrLiteralSecret)},
	{ui.Refused, as[config.Problems]},
	{ui.Refused, as[*transform.MappingError]},
	{ui.Refused, as[*transform.AliasError]},
	{ui.Refused, as[*load.AdoptError]},
	{ui.Refused, as[*config.UnknownNameError]},
	{ui.Refused, as[*config.UnresolvedError]},
	{ui.Refused, as[*config.Problem]},
	{ui.Refused, as[*extract.Error]},
	{ui.Refused, is(extract.ErrNoKey)},
	{ui.Refused, as[*pipelines.DuplicateKeyError]},
	{ui.Refused, as[*pipelines.RejectError]},
	{ui.Refused, as[*pipelines.UnknownRolesError]},
	{ui.Refused, as[*load.OwnershipError]},
	{ui.Refused, as[*load.DecisionError]},
	{ui.Refused, as[*load.BrakeError]},
	{ui.Refused, as[*load.FeedError]},
	{ui.Refused, as[*pipelines.ShrunkenError]},
	{ui.Refused, as[*pipelines.StillThereError]},
	{ui.Refused, as[*pipelines.StaleSyncError]},
	{ui.Refused, as[*pipelines.OpenEndsError]},
	{ui.Refused, as[*waves.RuleError]},
	{ui.Refused, as[*waves.FileError]},
	{ui.Refused, as[*waves.EvaluationError]},
	{ui.Refused, as[*load.WideningError]},
	{ui.Refused, as[*pipelines.WhereError]},
	{ui.Refused, is(load.ErrPlanStale, load.ErrPlanDamaged, pipelines.ErrUnknownRun, pipelines.ErrNoAccessDiff)},
	{ui.Unreachable, is(load.ErrUnavailable)},
	{ui.Failed, is(load.ErrInterrupted, context.Canceled)},
}

// exitCode is the exit code for what a command returned. A Failure says its
// own.
func exitCode(err error) ui.Code {
	if err == nil {
		return ui.Done
	}
	if f, ok := errors.AsType[*ui.Failure](err); ok {
		return f.Code
	}
	for _, r := range exitRules {
		if r.match(err) {
			return r.code
		}
	}
	return ui.Failed
}

func is(sentinels ...error) func(error) bool {
	return func(err error) bool {
		for _, s := range sentinels {
			if errors.Is(err, s) {
				return true
			}
		}
		return false
	}
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// targetSaid matches a target's error of a class. A target that never answered
// when it was first spoken to is unreachable, whatever the dialect made of it.
func targetSaid(class load.ErrorClass) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*load.Error](err)
		if !ok {
			return false
		}
		if e.Class == load.Setup && e.Status == 0 && e.Err != nil {
			return class == load.Transient
		}
		return e.Class == class
	}
}

// report tells people of an error: each on a line, its hint on the next.
func report(w io.Writer, err error) {
	if e, ok := errors.AsType[*transform.MappingError](err); ok {
		err = mappingProblems(e)
	}
	ui.ReportError(w, err, hintOf)
}

// sentinelHints are the next steps after errors that are plain values.
var sentinelHints = []struct {
	err  error
	hint string
}{
	{seal.ErrNoKey, "make one with: parallelrun key init"},
	{snapshots.ErrCurrentEpoch, "make the next epoch first: parallelrun key rotate --apply"},
	{snapshots.ErrNotNewest, "run it again"},
	{load.ErrPlanStale, "make a new plan"},
	{load.ErrPlanDamaged, "make a new plan"},
	{pipelines.ErrNoAccessDiff, "make a new plan"},
	{pipelines.ErrUnknownRun, "`parallelrun runs list` shows all"},
}

// hintOf finds an error's next step and the text that it stands in without it:
// errors put it in brackets or after a colon at their end as well.
func hintOf(err error) (hint, text string) {
	text = strings.TrimSpace(err.Error())
	if hint = findHint(err); hint == "" {
		return "", text
	}
	return hint, strings.TrimSuffix(strings.Replace(text, " ("+hint+")", "", 1), ": "+hint)
}

func findHint(err error) string {
	for _, s := range sentinelHints {
		if errors.Is(err, s.err) {
			return s.hint
		}
	}
	if hint := ui.Hint(err); hint != "" {
		return hint
	}
	if e, ok := errors.AsType[*load.Error](err); ok && e.Hint != "" {
		return e.Hint
	}
	if e, ok := errors.AsType[*seal.KeyFileError](err); ok {
		return e.Hint
	}
	return ""
}
