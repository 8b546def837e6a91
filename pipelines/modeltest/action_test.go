package modeltest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// action is one thing that happens. It says all that is needed to play it again;
// played where it can't happen, it does nothing.
type action struct {
	Kind string
	Key  string `json:",omitempty"` // whom it is about
	Seed uint64 `json:",omitempty"` // of what else there is to choose
	Call *call  `json:",omitempty"`
	Kill *kill  `json:",omitempty"`
}

// kill is where a run is killed, and what happens then.
type kill struct {
	Request  int  `json:",omitempty"` // request to the target, from 1
	Change   int  `json:",omitempty"` // request that changes the target, from 1
	Create   int  `json:",omitempty"` // write to the store, from 1
	After    bool `json:",omitempty"` // it is carried out all the same
	LoseDisk bool `json:",omitempty"` // the machine is lost with its disk
	Abandon  bool `json:",omitempty"` // nobody resumes the run
}

func (a action) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s", a.Kind)
	if a.Key != "" {
		fmt.Fprintf(&b, " %s", a.Key)
	}
	if a.Seed != 0 {
		fmt.Fprintf(&b, " #%d", a.Seed)
	}
	for _, v := range []any{a.Call, a.Kill} {
		if data, err := json.Marshal(v); err == nil && string(data) != "null" {
			fmt.Fprintf(&b, " %s", data)
		}
	}
	return b.String()
}

func (a action) rand() *rand.Rand { return rand.New(rand.NewPCG(a.Seed, 11)) }

// kind is one kind of actions. draw chooses one that can happen, and says so;
// play plays it on the model and on the real thing, and says whether it could.
type kind struct {
	name   string
	weight int
	draw   func(s *sequence, rnd *rand.Rand) (action, bool)
	play   func(ctx context.Context, s *sequence, a action) (bool, error)
	legacy bool // the target has no part in it
	// compares: play has compared both sides already.
	compares bool
}

// kinds are all kinds: what happens to legacy, what happens to the target, what
// an operator does. A new kind of thing that can happen is one more line.
func kinds() []kind {
	out := []kind{}
	for _, k := range legacyEdits {
		out = append(out, kind{k.name, k.weight, drawLegacy(k), playLegacy(k), true, false})
	}
	for _, k := range targetEdits {
		out = append(out, kind{k.name, k.weight, drawTarget(k), playTarget(k), false, false})
	}
	return slices.Concat(out, foreignKinds, operatorKinds, swapKinds)
}

var byName = func() map[string]kind {
	out := map[string]kind{}
	for _, k := range kinds() {
		out[k.name] = k
	}
	return out
}()

// draw chooses the next action.
func (s *sequence) draw(rnd *rand.Rand) action {
	all := kinds()
	if s.weights == nil {
		s.weights = favour(all, rnd)
	}
	total := 0
	for _, w := range s.weights {
		total += w
	}
	if k, ok := s.meanwhile(all, rnd); ok {
		return k
	}
	for {
		n := rnd.IntN(total)
		for i, k := range all {
			if n -= s.weights[i]; n >= 0 {
				continue
			}
			if a, ok := k.draw(s, rnd); ok {
				a.Kind = k.name
				return a
			}
			break
		}
	}
}

// takings are edits of the target that take something away.
var takings = []string{"target: role", "target: group", "target: expel", "target: switch"}

// meanwhile draws, half of the time, what somebody takes away in the target
// after a run was given up: of accounts that may not be in base.
func (s *sequence) meanwhile(all []kind, rnd *rand.Rand) (action, bool) {
	if !s.givenUp || rnd.IntN(2) == 0 {
		return action{}, false
	}
	name, _ := pick(rnd, takings)
	k := all[slices.IndexFunc(all, func(k kind) bool { return k.name == name })]
	a, ok := k.draw(s, rnd)
	a.Kind = k.name
	return a, ok
}

// favour draws what a sequence is about: some kinds happen much more often in
// it than in others, so that they meet each other and themselves.
func favour(all []kind, rnd *rand.Rand) []int {
	out := make([]int, len(all))
	for i, k := range all {
		out[i] = k.weight
		if rnd.IntN(5) == 0 {
			out[i] *= 6
		}
	}
	return out
}

// pick chooses one of the names, false where there is none.
func pick(rnd *rand.Rand, list []string) (string, bool) {
	if len(list) == 0 {
		return "", false
	}
	return list[rnd.IntN(len(list))], true
}

func some(rnd *rand.Rand, list []string) set {
	out := set{}
	for _, v := range list {
		if rnd.IntN(2) == 0 {
			out.add(v)
		}
	}
	return out
}

func seed(rnd *rand.Rand) uint64 { return rnd.Uint64N(99) + 1 }
