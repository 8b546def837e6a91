package keymate

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// profileColumns are the columns that one PUT of the account carries.
var profileColumns = []string{
	"username", "email", "email_verified", "first_name", "last_name", "enabled", "expires_at", "created_at", "locale",
	"required_actions", "attributes",
}

func (a *applier) user(ctx context.Context) (string, error) {
	id, err := a.userTarget()
	if err != nil {
		return "", err
	}
	switch a.op.Kind {
	case load.Create:
		return id, a.target.CreateUsers(ctx, []schemas.Bundle{*a.subject.User}, a.ids)
	case load.Update, load.Adopt:
		return id, a.updateUser(ctx, id)
	case load.Delete:
		return id, a.delete(ctx, "delete a user", userPath(id, ""))
	}
	return "", a.never()
}

func userPath(id, rest string) string { return "/users/" + url.PathEscape(id) + rest }

// delete takes what is already gone for done.
func (a *applier) delete(ctx context.Context, op, path string) error {
	_, err := a.target.http.do(ctx, call{op: op, method: http.MethodDelete, path: path})
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// updateUser writes the columns that the plan changes, and no others: what
// changed in the target since the plan stays for the next one. What takes
// access away goes before what gives it.
func (a *applier) updateUser(ctx context.Context, id string) error {
	if a.changes(profileColumns...) {
		if err := a.putUser(ctx, id); err != nil {
			return err
		}
	}
	if a.changes("realm_roles") {
		if err := a.setUserRoles(ctx, id); err != nil {
			return err
		}
	}
	if a.changes("groups") {
		if err := a.setGroups(ctx, id); err != nil {
			return err
		}
	}
	if a.changes("federated_links") && a.facts.AliasesKnown && len(a.facts.Aliases) > 0 {
		return a.setLinks(ctx, id)
	}
	return nil
}

// putUser changes the account's own fields. A PUT with attributes replaces
// them all and erases e-mail and names that are not sent, so the account is
// read first and always sent whole; disabling alone sends nothing else.
func (a *applier) putUser(ctx context.Context, id string) error {
	want := a.subject.User.User
	if slices.Equal(a.op.Columns, []string{"enabled"}) {
		enabled := flag(schemas.Users, want, "enabled")
		return a.sendUser(ctx, id, userRep{Enabled: &enabled})
	}
	if err := checkUser(want); err != nil {
		return err
	}
	current, err := a.readUser(ctx, id)
	if err != nil {
		return err
	}
	row := readUser(want.ID, want.Key, current)
	for _, c := range profileColumns {
		if a.changes(c) {
			put(schemas.Users, row, c, cell(schemas.Users, want, c))
		}
	}
	rep := writeUser(a.facts, schemas.Bundle{User: row}, current.CreatedTimestamp)
	if values := current.Attributes[membershipsAttribute]; len(values) > 0 {
		rep.Attributes[membershipsAttribute] = values
	}
	return a.sendUser(ctx, id, rep)
}

func (a *applier) readUser(ctx context.Context, id string) (*userRep, error) {
	u := new(userRep)
	return u, a.target.http.get(ctx, "read the account before changing it", userPath(id, ""), nil, u)
}

func (a *applier) sendUser(ctx context.Context, id string, rep userRep) error {
	_, err := a.target.http.do(ctx, call{op: "change an account", method: http.MethodPut, path: userPath(id, ""), body: rep,
		private: personal(a.subject.User.User)})
	return err
}

func (a *applier) setUserRoles(ctx context.Context, id string) error {
	return a.setRoles(ctx, userPath(id, "/role-mappings/realm"), texts(schemas.Users, a.subject.User.User, "realm_roles"))
}

// setRoles makes the realm roles of a user or group those wanted.
func (a *applier) setRoles(ctx context.Context, path string, want []string) error {
	var have []roleRep
	if err := a.target.http.get(ctx, "read the roles before changing them", path, nil, &have); err != nil {
		return err
	}
	var extra []roleRep
	missing := slices.Clone(want)
	for _, r := range have {
		if i := slices.Index(missing, r.Name); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		} else {
			extra = append(extra, r)
		}
	}
	add, err := a.target.names.rolesNamed(ctx, missing)
	if err != nil {
		return err
	}
	return a.swapRoles(ctx, path, extra, add)
}

func (a *applier) swapRoles(ctx context.Context, path string, extra, add []roleRep) error {
	if len(extra) > 0 {
		if _, err := a.target.http.do(ctx, call{op: "take roles away", method: http.MethodDelete, path: path, body: extra}); err != nil {
			return err
		}
	}
	if len(add) == 0 {
		return nil
	}
	_, err := a.target.http.do(ctx, call{op: "give roles", method: http.MethodPost, path: path, body: add})
	return err
}

// setGroups makes the account's realm groups those wanted.
func (a *applier) setGroups(ctx context.Context, id string) error {
	want := map[string]bool{}
	for _, ref := range texts(schemas.Users, a.subject.User.User, "groups") {
		group, err := a.resolveGroup(ctx, ref)
		if err != nil {
			return err
		}
		want[group] = true
	}
	var leave []string
	q := url.Values{"briefRepresentation": {"true"}, "first": {"0"}, "max": {everything}}
	err := list(ctx, a.target.http, "read the groups before changing them", userPath(id, "/groups"), q, func(g groupRep) error {
		if want[g.ID] {
			delete(want, g.ID)
		} else {
			leave = append(leave, g.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, group := range leave {
		if err := a.delete(ctx, "take a user out of a group", userPath(id, "/groups/"+url.PathEscape(group))); err != nil {
			return err
		}
	}
	for group := range want {
		if err := a.target.joinGroup(ctx, id, group); err != nil {
			return err
		}
	}
	return nil
}

// resolveGroup finds a group by its row; one that is nobody's stands in rows
// under an id made from its own, which the server's list leads back to.
func (a *applier) resolveGroup(ctx context.Context, ref string) (string, error) {
	id, err := resolve(a.ids, schemas.Groups, ref)
	if err == nil {
		return id, nil
	}
	tree, terr := a.target.realmGroups(ctx)
	if terr != nil {
		return "", terr
	}
	for id := range tree.byID {
		if load.ForeignRowID(id).String() == ref {
			return id, nil
		}
	}
	return "", err
}

// setLinks makes the account's links to identity providers those wanted.
func (a *applier) setLinks(ctx context.Context, id string) error {
	want := textMap(schemas.Users, a.subject.User.User, "federated_links")
	have := map[string]federatedRep{}
	err := list(ctx, a.target.http, "read the links before changing them", userPath(id, "/federated-identity"), nil, func(l federatedRep) error {
		have[l.Provider] = l
		return nil
	})
	if err != nil {
		return err
	}
	for alias, l := range have {
		if w, ok := want[alias]; ok && linkRep(alias, w) == l {
			continue
		}
		if err := a.delete(ctx, "take a link away", userPath(id, "/federated-identity/"+url.PathEscape(alias))); err != nil {
			return err
		}
		delete(have, alias)
	}
	for _, alias := range sortedKeys(want) {
		if _, there := have[alias]; there {
			continue
		}
		_, err := a.target.http.do(ctx, call{op: "link an account", method: http.MethodPost,
			path: userPath(id, "/federated-identity/"+url.PathEscape(alias)), body: linkRep(alias, want[alias])})
		if err != nil {
			return err
		}
	}
	return nil
}

// credential sets or takes away the password of an account.
func (a *applier) credential(ctx context.Context) error {
	id, err := a.userTarget()
	if err != nil {
		return err
	}
	switch a.op.Kind {
	case load.Create, load.Update:
		rep, err := a.target.encodeCredential(a.subject.Row)
		if err != nil {
			return err
		}
		return a.sendUser(ctx, id, userRep{Credentials: []credentialRep{rep}})
	case load.Delete:
		return a.dropCredentials(ctx, id, text(schemas.Credentials, a.subject.Row, "type"))
	}
	return a.never()
}

func (a *applier) dropCredentials(ctx context.Context, id, typ string) error {
	var drop []string
	err := list(ctx, a.target.http, "read the credentials before taking one away", userPath(id, "/credentials"), nil, func(c credentialRep) error {
		if c.Type == typ {
			drop = append(drop, c.ID)
		}
		return nil
	})
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	for _, c := range drop {
		if err == nil {
			err = a.delete(ctx, "take a credential away", userPath(id, "/credentials/"+url.PathEscape(c)))
		}
	}
	return err
}
