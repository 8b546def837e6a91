package load

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

func TestPolicyWaits(t *testing.T) {
	p := Policy{}.withDefaults(Abilities{TransactionLimit: time.Minute})
	if p.Settle != time.Minute {
		t.Errorf("settle %v: want what the target says", p.Settle)
	}
	for attempt, most := range map[int]time.Duration{1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 8: 30 * time.Second, 100: 30 * time.Second} {
		for range 50 {
			if d := p.wait(attempt, 0); d < most/2 || d > most {
				t.Errorf("attempt %d waits %v: want %v to %v", attempt, d, most/2, most)
			}
		}
	}
	if d := p.wait(1, 10*time.Second); d != 10*time.Second {
		t.Errorf("waits %v: want what the server asks for", d)
	}
	if d := p.wait(1, time.Hour); d != p.RetryAfter {
		t.Errorf("waits %v: want the cap", d)
	}
}

// The equation names what does not add up.
func TestCountsCheck(t *testing.T) {
	c := Counts{schemas.Users: {Yielded: 3, Gone: 1, Classes: map[Class]int64{Created: 3, Disabled: 1}}}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	c[schemas.Users].Classes[Created]--
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "users: yielded 3 + gone 1, but classes sum up to 3") {
		t.Errorf("got %v", err)
	}
}

// Once the log can't be written, nothing more is recorded, and the error says
// what to do.
func TestLogThatCannotBeWritten(t *testing.T) {
	path := t.TempDir() + "/x.ledger"
	l, err := openFrameLog(path, []byte("header"), func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := l.append([]byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := l.sync(); err != nil {
		t.Fatal(err)
	}
	l.f.Close() // as if the disk had gone
	if err := l.append([]byte("two")); err != nil {
		t.Fatal(err)
	}
	if err := l.sync(); err == nil || !strings.Contains(err.Error(), "then resume") {
		t.Errorf("sync: %v", err)
	}
	if err := l.append([]byte("three")); err == nil {
		t.Error("a broken log takes records")
	}
	_ = l.close()

	var got []string
	l, err = openFrameLog(path, []byte("header"), func(b []byte) error { got = append(got, string(b)); return nil })
	if err != nil || fmt.Sprint(got) != "[one]" {
		t.Fatalf("reopened: %v, %v", got, err)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openFrameLog(path, []byte("another"), nil); !errors.Is(err, ErrForeignLog) {
		t.Errorf("got %v", err)
	}
}

// Two users whose row ids share 64 bits are two people.
func TestPeopleWithOnePrefix(t *testing.T) {
	a, b := schemas.RowID{1}, schemas.RowID{1}
	a[15], b[15] = 1, 2
	shape := schemas.Entities()[schemas.Credentials]
	at := shape.Column("user")
	rows := []schemas.Row{{ID: a}, {ID: b}}
	streams := []stream{{owner: ownID, take: func(p *person, r schemas.Row) { p.base.user = &r }},
		{owner: at, take: func(p *person, r schemas.Row) { p.base.credentials = append(p.base.credentials, r) }}}
	cred := schemas.Row{ID: schemas.DependentRowID(b, schemas.Credentials, "password"), Values: make([]any, len(shape.Columns))}
	cred.Values[at] = b.String()
	heads := []*head{newHead(seq(rows)), newHead(seq([]schemas.Row{cred}))}
	got := gather(streams, heads, a[:8])
	if len(got) != 2 || got[0].id != a || len(got[0].base.credentials) != 0 || len(got[1].base.credentials) != 1 {
		t.Errorf("got %+v", got)
	}
}

func seq(rows []schemas.Row) func(func(schemas.Row, error) bool) {
	return func(yield func(schemas.Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}
