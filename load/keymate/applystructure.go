package keymate

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// organization creates, changes or deletes an organization.
func (a *applier) organization(ctx context.Context) (string, error) {
	row := a.subject.Row
	if a.op.Kind == load.Create {
		if err := a.checkOrganization(row); err != nil {
			return "", err
		}
		return a.createOrganization(ctx, row)
	}
	id, err := a.targetID()
	if err != nil {
		return "", err
	}
	switch a.op.Kind {
	case load.Update, load.Adopt:
		if err := a.checkOrganization(row); err != nil {
			return id, err
		}
		return id, a.updateOrganization(ctx, id, row)
	case load.Delete:
		return id, a.deleteOrganization(ctx, id)
	}
	return id, a.never()
}

func organizationPath(id string) string { return "/organizations/" + url.PathEscape(id) }

func (a *applier) checkOrganization(row schemas.Row) error {
	if err := checkNamed(schemas.Organizations, row); err != nil {
		return err
	}
	if alias := text(schemas.Organizations, row, "alias"); utf8.RuneCountInString(alias) > maxColumn {
		return refuse(schemas.Organizations, row, fmt.Sprintf("the alias is longer than %d characters", maxColumn), "choose a shorter one by the mapping")
	}
	return nil
}

// checkNamed refuses names and keys of structure rows that the server answers
// with a bare 500.
func checkNamed(table string, row schemas.Row) error {
	name := text(table, row, "name")
	switch {
	case name == "":
		return refuse(table, row, "the name is empty", "give the row a name by the mapping")
	case utf8.RuneCountInString(name) > maxColumn:
		return refuse(table, row, fmt.Sprintf("the name is longer than %d characters", maxColumn), "shorten it by the mapping")
	case hasNUL(name), !utf8.ValidString(name):
		return refuse(table, row, "the name holds characters that the target's database refuses", "mend it in the source or the mapping")
	case row.Key == "" || utf8.RuneCountInString(row.Key) > maxColumn:
		return refuse(table, row, fmt.Sprintf("the legacy key is empty or longer than the %d characters of the attribute that anchors the row", maxColumn), "choose another key for this table")
	}
	return nil
}

func writeOrganization(row schemas.Row) organizationRep {
	const tb = schemas.Organizations
	rep := organizationRep{
		Name: text(tb, row, "name"), Alias: text(tb, row, "alias"), Description: text(tb, row, "description"),
		Enabled: flag(tb, row, "enabled"), Attributes: cloneMap(textMap(tb, row, "properties")),
	}
	rep.Attributes[anchorAttribute] = []string{row.Key}
	if roles := texts(tb, row, "realm_roles"); len(roles) > 0 {
		rep.Attributes[realmRolesAttribute] = roles
	}
	if s := text(tb, row, "property_template"); s != "" {
		rep.Attributes[propertyTemplateAttribute] = []string{s}
	}
	for _, d := range texts(tb, row, "domains") {
		rep.Domains = append(rep.Domains, domainRep{Name: d})
	}
	return rep
}

// createOrganization makes it; one with our anchor that is there already was
// made by an earlier try whose answer was lost.
func (a *applier) createOrganization(ctx context.Context, row schemas.Row) (string, error) {
	r, err := a.target.http.do(ctx, call{op: "create an organization", method: http.MethodPost, path: "/organizations", body: writeOrganization(row)})
	if err == nil {
		return path.Base(r.location), nil
	}
	if !isStatus(err, http.StatusConflict) && !isStatus(err, http.StatusBadRequest) {
		return "", err
	}
	all, lerr := a.target.organizations(ctx)
	if lerr != nil {
		return "", err
	}
	for _, o := range all {
		if first(o.Attributes[anchorAttribute]) == row.Key {
			return o.ID, a.updateOrganization(ctx, o.ID, row)
		}
	}
	return "", permanently(err, "another organization has its name, alias or domain: adopt it or choose others")
}

// permanently turns an error whose cause was looked into to one of the row.
func permanently(err error, hint string) error {
	e, ok := err.(*load.Error)
	if !ok {
		return err
	}
	known := *e
	known.Class, known.Hint = load.Permanent, hint
	return &known
}

// updateOrganization reads it first: domains that are verified stay so, and
// columns that the plan does not change stay as they are.
func (a *applier) updateOrganization(ctx context.Context, id string, want schemas.Row) error {
	var current organizationRep
	if err := a.target.http.get(ctx, "read the organization before changing it", organizationPath(id), nil, &current); err != nil {
		return err
	}
	o := &observer{target: a.target}
	o.census.names = map[string]identity{id: {want.ID, want.Key}}
	row := o.readOrganization(&current)
	for _, c := range tables[schemas.Organizations].Columns {
		if a.changes(c.Name) {
			put(schemas.Organizations, row, c.Name, cell(schemas.Organizations, want, c.Name))
		}
	}
	rep := writeOrganization(row)
	rep.ID, rep.RedirectURL = id, current.RedirectURL
	for i, d := range rep.Domains {
		if j := slices.IndexFunc(current.Domains, func(c domainRep) bool { return c.Name == d.Name }); j >= 0 {
			rep.Domains[i] = current.Domains[j]
		}
	}
	_, err := a.target.http.do(ctx, call{op: "change an organization", method: http.MethodPut, path: organizationPath(id), body: rep})
	return err
}

// deleteOrganization refuses one that anybody or anything is in: managed
// members would be deleted with it.
func (a *applier) deleteOrganization(ctx context.Context, id string) error {
	var members []struct{}
	err := a.target.http.get(ctx, "look whether the organization is empty", organizationPath(id)+"/members", url.Values{"max": {"1"}}, &members)
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var groups []groupRep
	if err := a.target.http.get(ctx, "look whether the organization is empty", organizationPath(id)+"/groups", url.Values{"max": {"1"}}, &groups); err != nil {
		return err
	}
	if len(members) > 0 || len(groups) > 0 {
		return notEmpty("an organization")
	}
	return a.delete(ctx, "delete an organization", organizationPath(id))
}

func notEmpty(what string) error {
	return &load.Error{Class: load.Permanent, Op: "delete " + what, Message: "it is not empty", Hint: "delete or move what is in it first"}
}
