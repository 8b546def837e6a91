package modeltest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// sequence is one play: the model and the real thing, side by side.
type sequence struct {
	model *model
	rig   *rig
	log   []string
	// weights of the kinds of actions in this sequence; nil before the first is
	// drawn.
	weights []int
	givenUp bool // the last run was killed and not resumed
}

func newSequence(ctx context.Context, r *realm, dir string) (*sequence, error) {
	g, err := newRig(ctx, r, dir)
	if err != nil {
		return nil, err
	}
	s := &sequence{model: newModel(), rig: g}
	if err := r.grant(ctx); err != nil {
		return nil, err
	}
	if err := r.do(ctx, "PUT", "", map[string]any{"realm": r.config.Realm, "editUsernameAllowed": true,
		"passwordPolicy": "hashAlgorithm(pbkdf2-sha256) and hashIterations(1)"}, nil); err != nil {
		return nil, err
	}
	p, err := g.open(ctx, nil)
	if err != nil {
		return nil, err
	}
	if _, err := p.Target.Preflight(ctx); err != nil {
		return nil, err
	}
	r.userID = p.Target.UserID
	return s, nil
}

// wrong is what the real thing did and the model did not: a finding.
type wrong struct {
	action  action
	at      int
	details string
}

func (e *wrong) Error() string {
	return fmt.Sprintf("at action %d, %s: %s", e.at+1, e.action.Kind, e.details)
}

// step plays one action and compares both sides.
func (s *sequence) step(ctx context.Context, at int, a action) error {
	played, err := byName[a.Kind].play(ctx, s, a)
	if k := byName[a.Kind]; err == nil && played && !k.legacy && !k.compares {
		err = s.compare(ctx)
	}
	note := ""
	if !played && err == nil {
		note = "   (can't happen here)"
	}
	s.log = append(s.log, a.String()+note)
	if err != nil {
		return &wrong{a, at, err.Error()}
	}
	return nil
}

// compare holds the realm against the model.
func (s *sequence) compare(ctx context.Context) error {
	real, err := s.rig.realm.look(ctx, s.model.keys())
	if err != nil {
		return err
	}
	return s.holds(real)
}

func (s *sequence) holds(real *seen) error {
	var bad []string
	if !maps.Equal(s.model.units, real.units) {
		bad = append(bad, fmt.Sprintf("units are %v, and shall be %v", real.units, s.model.units))
	}
	s.model.unitIDs = real.unitIDs
	for _, side := range []struct {
		who        string
		want, have map[string]*account
	}{{"account of", s.model.target, real.ours}, {"account of nobody,", s.model.foreign, real.foreign}} {
		for name, want := range side.want {
			have := side.have[name]
			if have == nil {
				bad = append(bad, fmt.Sprintf("%s %s is lost", side.who, name))
				continue
			}
			want.id, want.pwID = have.id, have.pwID
			for _, field := range have.differs(&want.person) {
				bad = append(bad, fmt.Sprintf("%s %s: %s\n      is     %s\n      shall  %s", side.who, name, field, &have.person, &want.person))
			}
		}
		for name, have := range side.have {
			if side.want[name] == nil {
				bad = append(bad, fmt.Sprintf("%s %s is there and shall not be: %s", side.who, name, &have.person))
			}
		}
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	return fmt.Errorf("the target is not as it shall be:\n    %s", strings.Join(bad, "\n    "))
}

// logins proves at the end of a sequence that people's passwords open their
// accounts, and that older ones do not.
func (s *sequence) logins(ctx context.Context, rnd *rand.Rand, most int) error {
	names := logins(s.model.target)
	rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, key := range names {
		a := s.model.target[key]
		if a.pw == nil || !a.enabled {
			continue
		}
		if most--; most < 0 {
			return nil
		}
		text := s.model.texts[a.pw.date]
		ok, err := s.rig.realm.opens(ctx, a.login, text)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%s can't log in as %s with password %s", key, a.login, text)
		}
	}
	return nil
}
