package demo

import (
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/schemas"
)

// Summary is what a performance came to: the data of `demo --json`.
type Summary struct {
	Dir    string `json:"dir"`
	Target string `json:"target"`
	// People of the first organization are generated; Yielded are the users that
	// the mapping makes of all, Users those that stand in the target at the end.
	People  int     `json:"people"`
	Yielded int64   `json:"yielded"`
	Users   int64   `json:"users"`
	Seconds float64 `json:"seconds"`
	Moves   []Moved `json:"moves"`
	// Kept, Undecided and BroughtBack are fields edited by hand: the target's
	// own, a person's to decide, and legacy's.
	Kept        int64 `json:"kept"`
	Undecided   int64 `json:"undecided"`
	BroughtBack int64 `json:"brought_back"`
	// Brakes stopped the bad mapping.
	Brakes []load.Brake `json:"brakes"`
	// Undone are users of the wave that was undone.
	Undone int64 `json:"undone"`
	// Damaged is what was done to the target, Withheld the access that its first
	// restore left out, Restored what came back in all; Drifts are what each look
	// at the target found after a restore.
	Damaged  Damage                   `json:"damaged"`
	Withheld int64                    `json:"withheld"`
	Restored Damage                   `json:"restored"`
	Drifts   [][]pipelines.TableDrift `json:"drifts"`
	Commands []Typed                  `json:"commands"`
}

// Moved is one wave's run.
type Moved struct {
	Wave  string `json:"wave"`
	Run   string `json:"run"`
	Users int64  `json:"users"`
	// Rows are the operations that the target confirmed.
	Rows       int64   `json:"rows"`
	Seconds    float64 `json:"seconds"`
	Tried      int64   `json:"logins_tried"`
	Proved     int64   `json:"logins_proved"`
	Opened     int64   `json:"wrong_passwords_accepted"`
	Checkpoint string  `json:"checkpoint"`
}

// Damage counts users and memberships.
type Damage struct {
	Users       int64 `json:"users"`
	Memberships int64 `json:"memberships"`
}

// Typed is a command that was carried out.
type Typed struct {
	Scene   string  `json:"scene"`
	Line    string  `json:"line"`
	Code    int     `json:"exit_code"`
	Seconds float64 `json:"seconds"`
}

// Text writes the summary for people.
func (s *Summary) Text(p *ui.Page) {
	t := ui.NewTable("wave", "users", "rows written", "time", "logins proved", "wrong passwords let in", "the way back")
	for _, m := range s.Moves {
		proved := "-"
		if m.Tried > 0 {
			proved = ui.Count(m.Proved) + " of " + ui.Count(m.Tried)
		}
		t.Row(m.Wave, ui.Count(m.Users), ui.Count(m.Rows), ui.Elapsed(seconds(m.Seconds)), proved, ui.Count(m.Opened), m.Checkpoint)
	}
	p.Table(t)
	p.Line("%s users stand in the target; all of it took %s", ui.Count(s.Users), ui.Elapsed(seconds(s.Seconds)))
}

// moved takes a wave's run into the summary.
func (s *Summary) moved(wave string, out *pipelines.Outcome) Moved {
	m := Moved{Wave: wave, Run: out.ID, Users: out.Counts()[schemas.Users].Classes[load.Created], Rows: out.Loaded.Confirmed, Checkpoint: out.Checkpoint}
	for _, sec := range out.Took {
		m.Seconds += sec
	}
	if out.Proof != nil {
		for _, p := range out.Proof.Schemes {
			m.Tried, m.Proved, m.Opened = m.Tried+p.Tried, m.Proved+p.Proved(), m.Opened+p.WrongAccepted
		}
	}
	s.Moves = append(s.Moves, m)
	return m
}
