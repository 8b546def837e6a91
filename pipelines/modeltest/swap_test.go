package modeltest

import (
	"context"
	"math/rand/v2"
	"slices"
)

// swapKinds let names go round among people, and run at once: a run that
// reaches all of them can give each the name that another has.
var swapKinds = []kind{{name: "swap names", weight: 3, draw: func(s *sequence, rnd *rand.Rand) (action, bool) {
	key, ok := pick(rnd, s.model.settled())
	k := s.drawKill(rnd)
	if k != nil {
		k.Abandon = false
	}
	return action{Key: key, Seed: seed(rnd), Call: &call{Everyone: true}, Kill: k}, ok
}, play: playSwap, compares: true}}

// settled are people who have their names in legacy and in the target, and whose
// names a run may change.
func (m *model) settled() []string {
	desired := m.desired()
	return slices.DeleteFunc(m.keys(), func(key string) bool {
		p, a, k := desired[key], m.target[key], m.base[key]
		return p == nil || a == nil || k == nil || a.login != p.login || a.email != p.email || k.born != p.born || m.complete[m.wave[key]]
	})
}

func playSwap(ctx context.Context, s *sequence, a action) (bool, error) {
	list, rnd := s.model.settled(), a.rand()
	at := slices.Index(list, a.Key)
	if at < 0 || len(list) < 2 || len(s.model.complete) > 0 {
		return false, nil
	}
	list = slices.Delete(list, at, at+1)
	rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	circle := append([]string{a.Key}, list[:min(len(list), 1+rnd.IntN(3))]...)
	emails := rnd.IntN(2) == 0
	for _, key := range circle {
		emails = emails && s.model.legacy[key].email != ""
	}
	first := s.model.legacy[circle[0]]
	login, email := first.login, first.email
	for i, key := range circle {
		p, next := s.model.legacy[key], s.model.legacy[circle[(i+1)%len(circle)]]
		p.login = next.login
		if emails {
			p.email = next.email
		}
		if i == len(circle)-1 {
			p.login = login
			if emails {
				p.email = email
			}
		}
	}
	_, err := playCall(ctx, s, a)
	return true, err
}
