package load_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
)

// differences verifies the plan against a new look at the target.
func differences(t *testing.T, s *states, p planned) []string {
	t.Helper()
	ledger, err := load.ReadLedger(t.Context(), p.files, p.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	in := load.VerifyInput{Effective: p.effective, Observed: s.observe(t), Plan: p.Manifest, Files: p.files, Ledger: ledger}
	for d, err := range load.Verify(t.Context(), in) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", d.What, d.Table, d.Key, strings.Join(d.Columns, ","))))
	}
	slices.Sort(out)
	return out
}

// What was changed behind the tool's back after a load shows, row and column;
// what failed is not reported twice; what people made beside ours is theirs.
func TestVerifyShowsWhatDiffers(t *testing.T) {
	s := village(20)
	s.target.Poison = map[string]error{"u002": loadtest.Refusal(load.Permanent, 400, "no"), "u005/new": loadtest.Refusal(load.Permanent, 400, "no")}
	p := s.plan(t, "run", noBrake)
	if _, err := s.load(t, p, load.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := differences(t, s, p); len(got) != 0 {
		t.Fatalf("after a load: %v", got)
	}
	shape := shapes[schemas.Users]
	edit := func(key string, f func(u *schemas.Row, credentials, memberships map[schemas.RowID]schemas.Row)) {
		s.target.Edit(rowID(schemas.Users, key), f)
	}
	edit("u003", func(u *schemas.Row, _, _ map[schemas.RowID]schemas.Row) {
		u.Values[shape.Column("first_name")] = "Changed"
		u.Values[shape.Column("enabled")] = false
	})
	edit("u004", func(_ *schemas.Row, _, m map[schemas.RowID]schemas.Row) {
		delete(m, rowID(schemas.Memberships, "u004/home"))
	})
	edit("u007", func(_ *schemas.Row, c, _ map[schemas.RowID]schemas.Row) {
		otp := row(schemas.Credentials, "u007/otp", "type=otp", "changed_at=3")
		c[otp.ID] = otp
	})
	gone := row(schemas.Memberships, "u001/old", "organization=meridian", "department=sales")
	edit("u001", func(_ *schemas.Row, _, m map[schemas.RowID]schemas.Row) { m[gone.ID] = gone })
	s.target.Remove(rowID(schemas.Users, "u008"))
	want := []string{
		"differs users u003 enabled,first_name",
		"extra memberships u001/old",
		"missing credentials u008/password",
		"missing memberships u004/home",
		"missing memberships u008/home",
		"missing memberships u008/new",
		"missing users u008",
	}
	if diff := cmp.Diff(want, differences(t, s, p)); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

// Two accounts in the way of one user make one finding.
func TestObserveNamesAllThatIsInTheWay(t *testing.T) {
	s := newStates()
	s.parse("desired", "user anna enabled=true email=anna@x.example")
	s.parse("observed", "foreign username=anna\nforeign username=other email=anna@x.example")
	p := s.plan(t, "run", noBrake)
	if n := p.observed.Rows(load.ForeignAccounts); n != 1 {
		t.Errorf("%d rows of foreign accounts", n)
	}
	if !strings.Contains(describe(t, p), "an account with the same username and email is already there") {
		t.Errorf("plan:\n%s", describe(t, p))
	}
}

// The same input gives the same plan, to the byte.
func TestPlansAreReproducible(t *testing.T) {
	first, second := village(30).plan(t, "run", noBrake), village(30).plan(t, "run", noBrake)
	if first.Digest != second.Digest {
		t.Error("two plans of one input differ")
	}
	var values []string
	for key := range first.files.Files(t.Context(), "runs/") {
		data, err := first.files.ReadFile(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{"New", "Old", "box of"} {
			if strings.Contains(string(data), v) {
				values = append(values, key+": "+v)
			}
		}
	}
	if len(values) > 0 {
		t.Errorf("plans hold values: %v", values)
	}
}

func TestFieldsAreCounted(t *testing.T) {
	s := newStates()
	s.parse("desired", "user Anna enabled=true first_name=Anna\nuser bert enabled=true")
	p := s.plan(t, "run", noBrake)
	got := p.Fields[schemas.Users]
	want := map[string]*load.FieldCounts{
		"username": {Carried: 1, Changed: 1, Why: "lower-cased"}, "enabled": {Carried: 2}, "first_name": {Carried: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
