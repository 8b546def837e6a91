package pipelines

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"
	"unicode"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Override is a guard that an operator passed for one run, and why:
// runs/<run>/overrides/<id>.json, created and never changed.
type Override struct {
	Version int       `json:"version"`
	Guard   Guard     `json:"guard"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"` // user@host
	At      time.Time `json:"at"`
}

// Guard is what can be overridden.
type Guard string

// The guards.
const (
	// GuardBrake: limits of mass change, the shrunken source, and people whom no
	// rule of the mapping yields any more.
	GuardBrake Guard = "brake"
	// GuardSync: no fresh sign of life of the credential sync.
	GuardSync Guard = "credential sync"
)

// maxReason bounds a reason, which stands on one line of reports.
const maxReason = 500

// ParseReason makes a reason one line. An empty one is refused: whoever reads
// the records later has nothing else.
func ParseReason(flag, text string) (string, error) {
	plain := func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}
	reason := strings.Join(strings.Fields(strings.Map(plain, text)), " ")
	switch {
	case reason == "":
		return "", ui.Refusef("say why, in words that others understand later", "%s has no reason", flag)
	case len(reason) > maxReason:
		return "", ui.Refusef("keep it to a line", "the reason of %s is longer than %d bytes", flag, maxReason)
	}
	return reason, nil
}

// recordOverrides stores what the operator overrides in this call, and returns
// all that was ever overridden for the run.
func (r *Runner) recordOverrides(ctx context.Context, run string, o RunOptions) (overrides, error) {
	for _, x := range []struct {
		guard  Guard
		reason string
	}{{GuardBrake, o.OverrideBrake}, {GuardSync, o.WithoutSync}} {
		if x.reason == "" {
			continue
		}
		at := r.now()
		data, err := json.MarshalIndent(Override{Version: 1, Guard: x.guard, Reason: x.reason, By: operator(), At: at.Truncate(time.Microsecond)}, "", "  ")
		if err != nil {
			return nil, err
		}
		if err := r.Store.PutFile(ctx, runKey(run, "overrides", NewRunID(at)+".json"), append(data, '\n')); err != nil {
			return nil, fmt.Errorf("record why the %s is overridden: %w", x.guard, err)
		}
	}
	return readOverrides(ctx, r.Store, run)
}

// overrides are those of one run, oldest first.
type overrides []Override

func readOverrides(ctx context.Context, s *snapshots.Store, run string) (out overrides, err error) {
	for key, err := range s.Files(ctx, runKey(run, "overrides")+"/") {
		if err != nil {
			return nil, err
		}
		data, err := s.ReadFile(ctx, key)
		if err != nil {
			return nil, err
		}
		o := Override{}
		if err := json.Unmarshal(data, &o); err != nil || o.Version != 1 {
			return nil, &snapshots.CorruptError{Object: key, What: "not a record of an override", Advice: "start a new run", Err: err}
		}
		out = append(out, o)
	}
	return out, nil
}

func (o overrides) has(g Guard) bool {
	for _, x := range o {
		if x.Guard == g {
			return true
		}
	}
	return false
}

// operator is who calls this program, as far as the system says.
func operator() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if name == "" {
		name = "unknown"
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

func (o *Outcome) textOverrides(p *ui.Page) {
	if len(o.Overrides) == 0 {
		return
	}
	p.Blank()
	for _, x := range o.Overrides {
		p.Line("the %s was overridden by %s at %s: %s", x.Guard, x.By, x.At.UTC().Format("2006-01-02 15:04:05 UTC"), x.Reason)
	}
}
