package load_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

func TestAdoptRulesCheck(t *testing.T) {
	const number = `attributes["employeeNumber"]`
	for name, c := range map[string]struct {
		rules load.AdoptRules
		at    int
		want  string // empty: sound
	}{
		"none":              {nil, 0, ""},
		"number":            {load.AdoptRules{{number}}, 0, ""},
		"name and e-mail":   {load.AdoptRules{{"username", "email"}}, 0, ""},
		"name and number":   {load.AdoptRules{{"username", number}}, 0, ""},
		"e-mail and number": {load.AdoptRules{{"email", number}}, 0, ""},
		"e-mail":            {load.AdoptRules{{number}, {"email"}}, 1, "an e-mail address alone"},
		"e-mail twice":      {load.AdoptRules{{"email", "email"}}, 0, "email stands there twice"},
		"name":              {load.AdoptRules{{"username"}}, 0, "a user name alone"},
		"nothing":           {load.AdoptRules{{}}, 0, "names no field"},
		"other column":      {load.AdoptRules{{"username", "first_name"}}, 0, `not known by "first_name"`},
		"no name":           {load.AdoptRules{{`attributes[""]`}}, 0, "not known by"},
		"all attributes":    {load.AdoptRules{{"attributes"}}, 0, `not known by "attributes"`},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.rules.Check()
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*load.AdoptError](err)
			if !ok || !strings.Contains(err.Error(), c.want) || e.AdoptRule() != c.at || e.Hint() == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An account that a rule gives to a user and that is found to be another's own
// meanwhile stays the other's: also where the other was never confirmed.
func TestNoRuleTakesTheAccountOfAnotherUserInScope(t *testing.T) {
	s := newStates()
	s.adopt = load.AdoptRules{{`attributes["number"]`}}
	s.parse("desired", "user anna attributes=number:7\nuser twin attributes=number:7")
	s.parse("observed", "user anna attributes=number:7") // made by a run that never folded
	p := s.plan(t, "run", load.PlanOptions{})
	if got := describe(t, p); !strings.Contains(got, "it could be adopted by number, but is the account of another user") || strings.Contains(got, "adopt users") {
		t.Error(got)
	}
}

// What people may write into their own accounts says nothing of whose they are.
func TestAdoptRulesCheckProfile(t *testing.T) {
	number, named := load.AdoptRules{{`attributes["number"]`}}, load.AdoptRules{{"username", "email"}}
	for name, c := range map[string]struct {
		rules   load.AdoptRules
		profile schemas.TargetProfile
		want    string
	}{
		"administrators' own": {number, schemas.TargetProfile{DeclaredAttributes: []string{"number"}, SelfEditsUndeclared: true, SelfRegistration: true}, ""},
		"self-edited":         {number, schemas.TargetProfile{DeclaredAttributes: []string{"number"}, SelfEdited: []string{"number"}}, "people may set attribute number"},
		"undeclared":          {number, schemas.TargetProfile{}, ""},
		"undeclared, theirs":  {number, schemas.TargetProfile{SelfEditsUndeclared: true}, "people may set attribute number"},
		"names":               {named, schemas.TargetProfile{}, ""},
		"registration":        {named, schemas.TargetProfile{SelfRegistration: true}, "people may register themselves in the target: username and email"},
	} {
		err := c.rules.CheckProfile(&c.profile)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Nor does a decision give away an account that is another's: also where that
// other has left legacy.
func TestNoDecisionTakesTheAccountOfAnotherUser(t *testing.T) {
	s := newStates()
	s.parse("base", "user old enabled=true username=anna")
	s.parse("desired", "user new enabled=true username=anna")
	s.parse("observed", "user old enabled=true username=anna")
	s.parse("created", "created user old")
	id := rowID(schemas.Users, "new")
	s.decisions = []load.Decision{{Table: schemas.Users, Key: "new", ID: id, Take: load.TakeAdopt, Account: s.target.UserID(rowID(schemas.Users, "old")), Place: "d:1"}}
	p := s.plan(t, "run", load.PlanOptions{})
	got := describe(t, p)
	if !strings.Contains(got, "conflicts: users new [] [] the account to adopt is that of another user of legacy, present or former") || strings.Contains(got, "adopt users new") {
		t.Error(got)
	}
	for f, err := range p.Findings(t.Context(), p.files, load.ListConflicts) {
		if err != nil || f.Owner != "old" {
			t.Errorf("owner %q, %v", f.Owner, err)
		}
	}
}
