package waves

import (
	"errors"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

func TestBadRules(t *testing.T) {
	for _, c := range []struct {
		name       string
		rule       Rule
		want, hint string
	}{
		{"syntax", Rule{Where: `user.enabled &&`}, `wave "w": where: Syntax error`, "single quotes"},
		{"not a bool", Rule{Where: `user.email`}, `wave "w": where: the expression yields string, this place takes true or false (bool)`, "compare it"},
		{"null", Rule{Where: `null`}, `wave "w": where: the expression yields null`, ""},
		{"unknown column", Rule{Where: `user.emial == "x"`}, `undefined field 'emial' (at offset 4 of the expression)`, "did you mean `email`?; table users has no column emial"},
		{"bare column", Rule{Where: `enabled`}, `undeclared reference to 'enabled'`, "a column is written `user.enabled`"},
		{"row of mappings", Rule{Where: `row.enabled`}, `undeclared reference to 'row'`, ""},
		{"list of texts as text", Rule{Where: `user.attributes["title"] == "Buyer"`}, "no matching overload", ""},
		{"nothing", Rule{}, `it does not say which users it takes`, "criterion"},
		{"percent", Rule{Percent: whole + 1}, `percent: 100.0001 is out of range`, "at most 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.rule.Name = "w"
			_, err := Compile(Rules{Waves: []Rule{{Name: "first", Percent: 1}, c.rule}})
			e, ok := errors.AsType[*RuleError](err)
			if !ok || !strings.Contains(err.Error(), c.want) || !strings.Contains(e.Hint(), c.hint) || e.Index != 1 {
				t.Errorf("%v\nhint %+v", err, e)
			}
		})
	}
	_, err := Compile(Rules{Waves: []Rule{{Name: "a", Percent: 1}, {Name: "a", Percent: 2}, {Percent: 3}}})
	if es, ok := errors.AsType[RuleErrors](err); !ok || len(es) != 2 {
		t.Error(err)
	}
}

func TestUnknownNames(t *testing.T) {
	s := company()
	s.add(schemas.Groups, "group-2", map[string]any{"path": "/staff"})
	for _, c := range []struct {
		rule       Rule
		want, hint string
	}{
		{Rule{Departments: []string{"acme/Sale"}}, `wave "w": departments: there is no department "acme/Sale"`, "did you mean `acme/Sales`"},
		{Rule{Departments: []string{"/Sales/North/Coast"}}, `there is no department "/Sales/North/Coast"`, "acme/Sales/North/Coast"},
		{Rule{Groups: []string{"/admin"}}, `wave "w": groups: there is no group "/admin"`, "did you mean `/admins`?"},
		{Rule{Groups: []string{"/staff"}}, `2 groups are named "/staff"`, "legacy key"},
	} {
		c.rule.Name = "w"
		_, err := compile(t, c.rule).Assign(t.Context(), Input{Desired: s, Namespace: testNamespace}, nil)
		e, ok := errors.AsType[*RuleError](err)
		if !ok || !strings.Contains(err.Error(), c.want) || !strings.Contains(e.Hint(), c.hint) {
			t.Errorf("%v\nhint %+v", err, e)
		}
	}
	// All that is unknown is told at once.
	_, err := compile(t, Rule{Name: "w", Departments: []string{"x", "y"}}, Rule{Name: "v", Groups: []string{"z"}}).Assign(t.Context(), Input{Desired: s}, nil)
	if es, _ := errors.AsType[RuleErrors](err); len(es) != 3 {
		t.Error(err)
	}
}

// TestEvaluationError names the wave and the user, and no value of it.
func TestEvaluationError(t *testing.T) {
	_, err := compile(t, Rule{Name: "w", Where: `user.attributes["title"][0] == "Buyer"`}).Assign(t.Context(), Input{Desired: company(), Namespace: testNamespace}, nil)
	e, ok := errors.AsType[*EvaluationError](err)
	if !ok || e.Wave != "w" || e.Key == "" || e.Key == "ann" || !strings.Contains(err.Error(), "asks a map for a name that this row has not") {
		t.Error(err)
	}
}

func TestKeysFileMissing(t *testing.T) {
	_, err := compile(t, Rule{Name: "w", KeysFile: "nowhere.txt"}).Assign(t.Context(), Input{Desired: company()}, nil)
	if err == nil || err.Error() != `wave "w": keysFile: nowhere.txt: no such file or directory` {
		t.Error(err)
	}
	bad := handFile(t, "ann\n\xff\n")
	_, err = compile(t, Rule{Name: "w", KeysFile: bad}).Assign(t.Context(), Input{Desired: company()}, nil)
	if err == nil || err.Error() != bad+":2: the key is no valid UTF-8" {
		t.Error(err)
	}
}
