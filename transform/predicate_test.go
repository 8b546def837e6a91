package transform

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

func predicateVars() PredicateVars {
	users := schemas.Entities()[schemas.Users]
	return PredicateVars{Row: "user", Table: &users, Lists: []string{"places"}}
}

func TestPredicate(t *testing.T) {
	vars := predicateVars()
	row := schemas.Row{Key: "k-7", Values: make([]any, len(vars.Table.Columns))}
	for name, v := range map[string]any{
		"username": "Ann", "enabled": true, "created_at": time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC).UnixMicro(),
		"attributes": map[string][]string{"title": {"Buyer", "Lead"}}, "groups": []string{"g1", "g2"},
	} {
		row.Values[vars.Table.Column(name)] = v
	}
	for expression, want := range map[string]string{
		`lower(user.username) == "ann"`:                       "true: username",
		`user.enabled && user.email == ""`:                    "true: email enabled",
		`has(user.email) || !has(user.username)`:              "false: email username",
		`"Lead" in user.attributes["title"]`:                  "true: attributes",
		`first(user.groups) == "g2"`:                          "false: groups",
		`user.created_at < timestamp("2021-01-01T00:00:00Z")`: "true: created_at",
		`key.endsWith("7") && "x" in places`:                  "true:  places",
		`places.exists(p, p.startsWith("y"))`:                 "false:  places",
		`size(places) == 1 ? user.enabled : false`:            "true: enabled places",
	} {
		p, err := CompilePredicate(expression, vars)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		holds, err := p.Holds(row, map[string][]string{"places": {"x"}})
		got := strings.TrimSpace(map[bool]string{true: "true: ", false: "false: "}[holds]+strings.Join(p.Columns(), " ")) + " "
		got = strings.TrimSpace(got + strings.Join(p.Lists(), " "))
		if want = strings.Join(strings.Fields(want), " "); err != nil || strings.Join(strings.Fields(got), " ") != want {
			t.Errorf("%s: %s, %v; want %s", expression, got, err, want)
		}
	}
}

// TestPredicateError: advice speaks of what the expression knows; no message
// holds a value of the row.
func TestPredicateError(t *testing.T) {
	for expression, want := range map[string]string{
		`user.username`: `compare it, as in user.x == "TRUE"`,
		`username`:      "a column is written `user.username`",
		`place`:         "did you mean `places`?",
		`user.nme`:      "table users has no column nme",
	} {
		_, err := CompilePredicate(expression, predicateVars())
		e, ok := err.(*PredicateError)
		if !ok || !strings.Contains(e.Hint(), want) {
			t.Errorf("%s: %v, hint %+v", expression, err, e)
		}
	}
	vars := predicateVars()
	row := schemas.Row{Key: "k", Values: make([]any, len(vars.Table.Columns))}
	row.Values[slices.IndexFunc(vars.Table.Columns, func(c schemas.Column) bool { return c.Name == "username" })] = "hunter2"
	for expression, want := range map[string]string{
		`user.attributes["title"] == []`: `ask first, as in "x" in user.attributes`,
		`user.groups[3] == "x"`:          "more values than this row has",
		`generalizedTime(user.username) < timestamp("2021-01-01T00:00:00Z")`: "no generalized time",
	} {
		p, err := CompilePredicate(expression, vars)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if _, err = p.Holds(row, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", expression, err)
		}
	}
}
