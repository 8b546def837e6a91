package keymate

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// membership links a user to an organization and a department, or unlinks it.
func (a *applier) membership(ctx context.Context) error {
	user, err := a.userTarget()
	if err != nil {
		return err
	}
	m := membershipOf(a.subject.Row)
	organization, err := resolve(a.ids, schemas.Organizations, m.Organization)
	if err != nil {
		return err
	}
	base := "/organizations/" + url.PathEscape(organization)
	group := ""
	if m.Department != "" {
		department, err := resolve(a.ids, schemas.Departments, m.Department)
		if err != nil {
			return err
		}
		group = base + "/groups/" + url.PathEscape(department) + "/members/" + url.PathEscape(user)
	}
	switch a.op.Kind {
	case load.Create, load.Link:
		return a.link(ctx, base, group, user, m)
	case load.Update, load.Adopt:
		return a.rewriteMemberships(ctx, user, encodeMemberships(a.subject.User.Memberships))
	case load.Delete, load.Unlink:
		return a.unlink(ctx, base, group, user, m)
	}
	return a.never()
}

// link joins the organization, then the department. Who is there already is
// what was wanted.
func (a *applier) link(ctx context.Context, base, group, user string, m encodedMembership) error {
	// The body is the bare id; quotes would be tolerated, an object not.
	_, err := a.target.http.do(ctx, call{op: "make a user a member of an organization", method: http.MethodPost, path: base + "/members", raw: []byte(user)})
	if isStatus(err, http.StatusConflict) {
		err = a.target.http.get(ctx, "look for the membership", base+"/members/"+url.PathEscape(user), nil, nil)
	}
	if err != nil {
		return err
	}
	if group != "" {
		_, err = a.target.http.do(ctx, call{op: "make a user a member of a department", method: http.MethodPut, path: group})
		if err != nil && !isStatus(err, http.StatusConflict) { // "User is already a member of the group"
			return err
		}
	}
	want := encodeMemberships(a.subject.User.Memberships)
	if len(want) == 0 && m.plain() {
		return nil
	}
	return a.rewriteMemberships(ctx, user, want)
}

// unlink leaves the department, and the organization with the last membership
// in it. A member that the organization manages is left alone: the server
// would delete the account.
func (a *applier) unlink(ctx context.Context, base, group, user string, m encodedMembership) error {
	if group != "" {
		if err := a.delete(ctx, "take a user out of a department", group); err != nil {
			return err
		}
	}
	if err := a.forgetMembership(ctx, user, m); err != nil {
		return err
	}
	for _, row := range a.subject.User.Memberships {
		if other := membershipOf(row); row.ID != a.op.ID && other.Organization == m.Organization {
			return nil
		}
	}
	member := base + "/members/" + url.PathEscape(user)
	var departments []groupRep
	err := a.target.http.get(ctx, "look for other departments of the user", member+"/groups", url.Values{"briefRepresentation": {"true"}, "max": {"1"}}, &departments)
	if isStatus(err, http.StatusNotFound) {
		return nil // no member any more
	}
	if err != nil || len(departments) > 0 {
		return err
	}
	return a.leave(ctx, member)
}

func (a *applier) leave(ctx context.Context, member string) error {
	var kind struct {
		Type string `json:"membershipType"`
	}
	err := a.target.http.get(ctx, "look at the membership before ending it", member, nil, &kind)
	switch {
	case isStatus(err, http.StatusNotFound):
		return nil
	case err != nil:
		return err
	case kind.Type == "MANAGED":
		return &load.Error{Class: load.Permanent, Op: "take a user out of an organization", Message: "the organization manages this account: to end the membership would delete the account",
			Hint: "disable the account, or end the membership in the target by hand"}
	}
	return a.delete(ctx, "take a user out of an organization", member)
}

// rewriteMemberships brings the attribute that keeps roles, attributes and the
// default flag to what is wanted.
func (a *applier) rewriteMemberships(ctx context.Context, user string, want []string) error {
	current, err := a.readUser(ctx, user)
	if err != nil || slices.Equal(asSet(current.Attributes[membershipsAttribute]), want) {
		return err
	}
	return a.sendMemberships(ctx, user, current, want)
}

// forgetMembership takes one membership out of the attribute.
func (a *applier) forgetMembership(ctx context.Context, user string, m encodedMembership) error {
	current, err := a.readUser(ctx, user)
	if isStatus(err, http.StatusNotFound) {
		return nil // gone with all that belonged to it
	}
	if err != nil {
		return err
	}
	have := asSet(current.Attributes[membershipsAttribute])
	want := slices.DeleteFunc(slices.Clone(have), func(v string) bool {
		_, is := decodeMemberships([]string{v})[[2]string{m.Organization, m.Department}]
		return is
	})
	if len(want) == len(have) {
		return nil
	}
	return a.sendMemberships(ctx, user, current, want)
}

// sendMemberships sends the account back as it was read, save the attribute.
func (a *applier) sendMemberships(ctx context.Context, user string, current *userRep, values []string) error {
	rep := *current
	rep.ID, rep.CreatedTimestamp = "", nil
	rep.Attributes = cloneMap(current.Attributes)
	if rep.Attributes[membershipsAttribute] = values; len(values) == 0 {
		delete(rep.Attributes, membershipsAttribute)
	}
	if len(rep.Attributes) == 0 { // an absent map would change nothing
		rep.Attributes = map[string][]string{anchorAttribute: {a.subject.User.User.Key}}
	}
	return a.sendUser(ctx, user, rep)
}
