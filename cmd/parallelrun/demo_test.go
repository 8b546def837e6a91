package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/demo"
	"github.com/parallelrun/parallelrun/schemas"
)

// preparedOutcomes carries out what the demo's folder is prepared for, twice.
func preparedOutcomes(t *testing.T, gen legacygen.Config) (first, second pipelines.Outcome) {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	s.must("demo", "--prepare", "--dir", "play", "--users", strconv.Itoa(gen.Users))
	s.dir = filepath.Join(s.dir, "play")
	if _, err := config.Load(filepath.Join(s.dir, config.DefaultName)); err != nil {
		t.Error(err)
	}
	for _, x := range []struct {
		args []string
		to   *pipelines.Outcome
	}{{[]string{"--logins", demo.LoginsFile}, &first}, {nil, &second}} {
		out := s.must(append([]string{"run", "--apply", "--json"}, x.args...)...).stdout
		if err := json.Unmarshal([]byte(out), x.to); err != nil {
			t.Fatal(err)
		}
	}
	for _, report := range first.Reports {
		if info, err := os.Stat(report); err != nil || info.Size() == 0 {
			t.Errorf("report %s: %v", report, err)
		}
	}
	return first, second
}

// A first run's figures are those that the generator counted when it made the
// directory dirty.
func TestDemoFigures(t *testing.T) {
	if testing.Short() {
		t.Skip("migrates thousands of people")
	}
	t.Parallel()
	gen := legacygen.Config{Users: 2000}
	want, err := legacygen.Generate(discard{}, gen)
	if err != nil {
		t.Fatal(err)
	}
	first, second := preparedOutcomes(t, gen)
	equal := func(what string, got, want int64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, the generator counted %d", what, got, want)
		}
	}
	report, counts := first.Report(), first.Counts()
	for table, n := range want.Tables {
		equal("read from "+table, report.Source(table).Read, int64(n))
	}
	people := report.Source("people")
	equal("people mapped", people.Mapped, int64(want.Carried["people"]))
	equal("people excluded", people.Excluded, int64(want.Excluded))
	equal("people rejected", people.Rejected, int64(want.Rejected["people"]["duplicate-email"]+want.Rejected["people"]["duplicate-username"]))
	for rule, n := range want.Rejected["people"] {
		equal(rule, report.Rule(schemas.Users, rule), int64(n))
	}
	for rule, n := range want.Rejected["units"] {
		equal(rule, report.Rule(schemas.Departments, rule), int64(n))
	}
	equal("below rejected departments", report.Rule(schemas.Departments, "parent-rejected"), int64(want.UnitsBelowRejected))
	equal("missing departments", report.Rule(schemas.Memberships, "missing-department"),
		int64(want.Memberships.MissingDepartment+want.Memberships.RejectedDepartment))
	for entity, n := range map[string]int{
		schemas.Organizations: want.Carried["organizations"], schemas.Departments: want.Carried["units"], schemas.Groups: want.Carried["groups"],
		schemas.Users: want.Carried["people"], schemas.Memberships: want.Memberships.Good + want.Memberships.OrganizationOnly,
	} {
		equal(entity+" yielded", counts[entity].Yielded, int64(n))
		equal(entity+" created", counts[entity].Classes[load.Created], int64(n))
		equal(entity+" unchanged in the second run", second.Counts()[entity].Classes[load.Unchanged], int64(n))
	}
	equal("differences", first.Verified.Differences, 0)
	equal("operations of the second run", second.Planned.Operations, 0)
	wantCredentials(equal, &first, &second, want)
	wantLeftOut(equal, &first, want)
	wantProof(t, first.Proof)
}

// wantCredentials checks passwords by what became of their schemes.
func wantCredentials(equal func(string, int64, int64), first, second *pipelines.Outcome, want *legacygen.Counts) {
	schemes, movable := want.CarriedTraits.Schemes, 0
	for _, s := range []string{schemas.PBKDF2SHA256, schemas.PBKDF2SHA512, schemas.Argon2ID, schemas.ClearText} {
		movable += schemes[s]
	}
	report := first.Report()
	equal("passwords created", first.Counts()[schemas.Credentials].Classes[load.Created], int64(movable))
	equal("passwords unchanged", second.Counts()[schemas.Credentials].Classes[load.Unchanged], int64(movable))
	equal("passwords that the target can't verify", report.Rule(schemas.Credentials, "hash-not-verifiable"), int64(schemes[schemas.SSHA]+schemes[schemas.Bcrypt]))
	for _, f := range first.Fields() {
		switch f.Entity + "." + f.Field {
		case "credentials.secret":
			equal("clear text that was hashed", f.Changed, int64(schemes[schemas.ClearText]))
			equal("hashes that were carried", f.Carried, int64(movable-schemes[schemas.ClearText]))
		case "users.required_actions":
			equal("people who must change their password", f.Carried+f.Changed, int64(want.MustChange))
		}
	}
}

// wantLeftOut checks what has no place in the target, or leads nowhere.
func wantLeftOut(equal func(string, int64, int64), first *pipelines.Outcome, want *legacygen.Counts) {
	for _, l := range first.Report().LeftOut {
		if l.From != schemas.Groups || l.Field != "members" {
			continue
		}
		switch l.Why {
		case "there is no such row":
			equal("dangling members", l.Values, int64(want.Groups.Dangling))
		case "the member is excluded":
			equal("members who left", l.Values, int64(want.Groups.ToExcluded))
		case "the member is rejected":
			equal("members who are rejected", l.Values, int64(want.Groups.ToRejected))
		default:
			equal("members left out: "+l.Why, l.Values, 0)
		}
	}
	photos := int64(-1)
	for _, f := range first.Fields() {
		switch f.Entity + "." + f.Field {
		case `users.attributes["jpegPhoto"]`:
			photos = f.LeftOut
		case "users.expires_at":
			equal("people who expire", f.Encoded, int64(want.Expired+want.Expiring))
		}
	}
	equal("photos left out", photos, int64(want.CarriedTraits.LargePhotos))
	for _, r := range first.Report().Remarks {
		if r.Entity == schemas.Users && r.Field == "last_name" {
			equal("people without a surname", r.Rows, int64(want.People[legacygen.MissingSurname]))
		}
	}
}

// wantProof checks the login proof: 50 people of every movable scheme, all
// proved, none let in with a wrong password.
func wantProof(t *testing.T, proof *load.LoginReport) {
	t.Helper()
	if proof == nil || !proof.OK() {
		t.Fatalf("login proof: %+v", proof)
	}
	for _, scheme := range []string{schemas.PBKDF2SHA256, schemas.PBKDF2SHA512, schemas.Argon2ID, schemas.ClearText} {
		p := proof.Schemes[scheme]
		if p == nil || p.Tried != 50 || p.Proved() != 50 || p.WrongAccepted != 0 {
			t.Errorf("login proof of %s: %+v", scheme, p)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
