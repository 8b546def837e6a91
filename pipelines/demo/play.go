package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/schemas"
)

// play is one performance.
type play struct {
	Options
	sum     *Summary
	current string // scene
	linked  string // the run that restored memberships
	at      pipelines.Endpoint
}

func (p *play) say(format string, args ...any) { p.Say.Line(format, args...) }

// scene announces the next one.
func (p *play) scene(title string) {
	p.current = title
	p.Say.Blank()
	p.say("%s", "── "+title+" "+strings.Repeat("─", max(3, 96-ui.Width(title))))
}

// types carries out a command that must end with a code, and shows it with the
// named blocks of what it prints.
func (p *play) types(ctx context.Context, want ui.Code, show excerpt, args ...string) (Reply, error) {
	args = append(args, "--config", p.config())
	line := p.Program
	for _, a := range args {
		line += " " + quoted(a)
	}
	p.say("$ %s", line)
	since := time.Now()
	r := p.Type(ctx, args)
	p.sum.Commands = append(p.sum.Commands, Typed{Scene: p.current, Line: line, Code: int(r.Code), Seconds: time.Since(since).Seconds()})
	if err := ctx.Err(); err != nil {
		return r, context.Cause(ctx)
	}
	if r.Code != want {
		return r, fmt.Errorf("`%s` ended with exit code %d, not %d:\n%s", line, r.Code, want, strings.TrimSpace(r.Errors))
	}
	for _, l := range show.of(r.Text) {
		p.say("%s", clip(l))
	}
	if want == ui.Refused {
		for l := range strings.Lines(r.Errors) {
			p.say("%s", strings.TrimRight(l, "\n"))
		}
		p.say("(exit code %d)", r.Code)
	}
	return r, nil
}

// runs is types for a command that begins or continues a run.
func (p *play) runs(ctx context.Context, want ui.Code, show excerpt, args ...string) (*pipelines.Outcome, error) {
	r, err := p.types(ctx, want, show, args...)
	if err != nil {
		return nil, err
	}
	for _, v := range r.Views {
		switch v := v.(type) {
		case *pipelines.Outcome:
			return v, nil
		case pipelines.Brief:
			return v.Outcome, nil
		}
	}
	return nil, errors.New("the command printed no outcome")
}

// drifts looks at the whole target, in which so many memberships must be
// missing and nothing else may differ.
func (p *play) drifts(ctx context.Context, missing int64) error {
	want, show := ui.Done, briefly(block{begin: "target ", keep: first(0)})
	if missing > 0 { // differences
		want, show = ui.Failed, briefly(block{begin: "  inserted", keep: changedRows}, block{begin: "target ", keep: first(0)})
	}
	r, err := p.types(ctx, want, show, "drift", "--rows", "0")
	if err != nil {
		return err
	}
	d, ok := r.Views[0].(*pipelines.Drift)
	if !ok {
		return errors.New("the command printed no drift")
	}
	p.sum.Drifts = append(p.sum.Drifts, d.ByTable)
	gone := int64(0)
	for _, t := range d.ByTable {
		if t.Table == schemas.Memberships {
			gone = t.Deleted
		}
	}
	return claim(gone == missing && d.Differences == missing, "%d memberships are missing of %d differences, not %d", gone, d.Differences, missing)
}

// changedRows are the rows of a diff's table that count something.
func changedRows(_ int, line string) bool {
	words := strings.Fields(line)
	return len(words) > 3 && strings.Join(words[:3], " ") != "0 0 0"
}

// claim is what a scene says, and what came of it.
func claim(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf("this should not be: "+format, args...)
}

// atTarget calls fn with the demo's target running.
func (p *play) atTarget(ctx context.Context, fn func() error) error {
	c, err := config.Load(p.config())
	if err != nil {
		return err
	}
	_, m, err := c.Migration("")
	if err != nil {
		return err
	}
	return pipelines.AtEndpoint(ctx, c.Targets[m.Target], func(at pipelines.Endpoint) error {
		p.at = at
		return fn()
	})
}

// byHand edits the target as an administrator would.
func (p *play) byHand(ctx context.Context, edit func(*meddler) error) error {
	who, err := newMeddler(ctx, p.at)
	if err != nil {
		return err
	}
	return edit(who)
}

// rewrites replaces a line of a file, and shows that as a diff.
func (p *play) rewrites(name, old, fresh string) error {
	path := filepath.Join(p.Dir, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if strings.Count(string(text), old) != 1 {
		return fmt.Errorf("%s has no line %q", path, old)
	}
	p.say("%s, edited:", path)
	p.say("- %s", old)
	p.say("+ %s", fresh)
	return os.WriteFile(path, []byte(strings.Replace(string(text), old, fresh, 1)), 0o644)
}
