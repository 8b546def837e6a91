package load

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
)

// LoginSample is a user whose legacy password is known for a proof.
type LoginSample struct {
	ID       schemas.RowID
	Key      string
	Username string
	Password []byte
	Scheme   string // neutral name of the algorithm
}

// String keeps a sample's password out of logs by accident.
func (s LoginSample) String() string { return fmt.Sprintf("login sample of %s (%s)", s.ID, s.Scheme) }

// SchemeProof is the login proof of one password scheme.
type SchemeProof struct {
	Tried   int64 `json:"tried"`
	OK      int64 `json:"ok"`
	Pending int64 `json:"pending"` // right password, account not fully set up: a proof with a remark
	// Disabled accounts prove the password too.
	Disabled   int64 `json:"disabled,omitempty"`
	Refused    int64 `json:"refused"`
	Impossible int64 `json:"impossible,omitempty"`
	// WrongAccepted counts wrong passwords that were let in. It must be zero.
	WrongAccepted int64 `json:"wrong_accepted"`
}

// Proved is how many logins proved their password.
func (s *SchemeProof) Proved() int64 { return s.OK + s.Pending + s.Disabled }

// Rate is the share of tried logins that proved their password.
func (s *SchemeProof) Rate() float64 {
	if s.Tried == s.Impossible {
		return 0
	}
	return float64(s.Proved()) / float64(s.Tried-s.Impossible)
}

// LoginReport is the login proof by scheme.
type LoginReport struct {
	Schemes map[string]*SchemeProof `json:"schemes"`
	// Refused lists the rows whose own password was refused, and those that a
	// wrong one opened.
	Refused []schemas.RowID `json:"refused,omitempty"`
	Opened  []schemas.RowID `json:"opened,omitempty"`
}

// Names lists the schemes, sorted.
func (r *LoginReport) Names() []string { return slices.Sorted(maps.Keys(r.Schemes)) }

// OK says that every login proved its password and no wrong one was let in.
func (r *LoginReport) OK() bool { return len(r.Refused)+len(r.Opened) == 0 && len(r.Schemes) > 0 }

// Loginer is the part of a Target that the proof needs.
type Loginer interface {
	Login(ctx context.Context, username, password string) (LoginResult, error)
}

// LoginProof logs users in at the target with their legacy passwords, and with
// wrong ones, up to perScheme of each password scheme. It reads samples until
// it has enough of every scheme named in schemes, or to their end if that is
// empty. A target that can't be asked is an error, not a refusal.
func LoginProof(ctx context.Context, target Loginer, samples iter.Seq2[LoginSample, error], perScheme int, schemes []string, progress Progress) (*LoginReport, error) {
	rep := &LoginReport{Schemes: map[string]*SchemeProof{}}
	p := orSilent(progress)
	p.Total(StepLogin, int64(perScheme*len(schemes)))
	for s, err := range samples {
		if err != nil {
			return rep, fmt.Errorf("login proof: %w", err)
		}
		if rep.Schemes[s.Scheme] == nil {
			rep.Schemes[s.Scheme] = &SchemeProof{}
		}
		if rep.Schemes[s.Scheme].Tried >= int64(perScheme) {
			if rep.enough(schemes, perScheme) {
				return rep, nil
			}
			continue
		}
		if err := rep.prove(ctx, target, s); err != nil {
			return rep, fmt.Errorf("login proof of %s %s: %w", schemas.Users, s.ID, err)
		}
		p.Done(StepLogin, 1)
	}
	return rep, nil
}

func (r *LoginReport) enough(schemes []string, perScheme int) bool {
	return len(schemes) > 0 && !slices.ContainsFunc(schemes, func(s string) bool {
		return r.Schemes[s] == nil || r.Schemes[s].Tried < int64(perScheme)
	})
}

// prove tries a wrong password first, then the right one: that clears the
// count of failed logins, and a target that hashes anew at the first login
// does so after its last look at the migrated hash.
func (r *LoginReport) prove(ctx context.Context, target Loginer, s LoginSample) error {
	proof := r.Schemes[s.Scheme]
	wrong, err := target.Login(ctx, s.Username, wrongPassword(s.Password))
	if err != nil {
		return err
	}
	got, err := target.Login(ctx, s.Username, string(s.Password))
	if err != nil {
		return err
	}
	proof.Tried++
	switch got {
	case LoginOK:
		proof.OK++
	case LoginPending:
		proof.Pending++
	case LoginDisabled:
		proof.Disabled++
	case LoginImpossible:
		proof.Impossible++
		return nil
	default:
		proof.Refused++
		r.Refused = append(r.Refused, s.ID)
	}
	if wrong != LoginRefused && wrong != LoginImpossible {
		proof.WrongAccepted++
		r.Opened = append(r.Opened, s.ID)
	}
	return nil
}

// wrongPassword differs from the right one in its last place only, so that a
// target that cuts passwords off, or folds their case, is found out.
func wrongPassword(right []byte) string {
	n := len(right)
	if n == 0 || right[n-1] < 0x20 || right[n-1] > 0x7d {
		return string(right) + "#"
	}
	wrong := slices.Clone(right)
	wrong[n-1] = right[n-1] ^ 1
	return string(wrong)
}
