package keymate

import (
	"context"
	"net/url"

	"github.com/parallelrun/parallelrun/schemas"
)

// details are what the server keeps beside a user.
type details struct {
	*observer
	user string

	roles, groups []string
	links         map[string][]string
	credentials   []credentialRep
	places        []place
}

// read asks for them one after the other; other users are asked about
// meanwhile.
func (d *details) read(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.readRoles, d.readGroups, d.readLinks, d.readCredentials, d.readPlaces} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *details) path(rest string) string { return "/users/" + url.PathEscape(d.user) + rest }

func (d *details) readRoles(ctx context.Context) error {
	return list(ctx, d.target.http, "read a user's roles", d.path("/role-mappings/realm"), nil, func(r roleRep) error {
		d.roles = append(d.roles, r.Name)
		return nil
	})
}

func (d *details) readGroups(ctx context.Context) error {
	if d.census.groups != nil && len(d.census.groups.byID) == 0 {
		return nil
	}
	q := url.Values{"briefRepresentation": {"true"}, "first": {"0"}, "max": {everything}}
	return list(ctx, d.target.http, "read a user's groups", d.path("/groups"), q, func(g groupRep) error {
		id, _ := d.census.name(schemas.Groups, g.ID)
		d.groups = append(d.groups, id.String())
		return nil
	})
}

func (d *details) readLinks(ctx context.Context) error {
	if !d.observer.links {
		return nil
	}
	d.links = map[string][]string{}
	return list(ctx, d.target.http, "read a user's links", d.path("/federated-identity"), nil, func(l federatedRep) error {
		d.links[l.Provider] = []string{l.UserID, l.UserName}
		return nil
	})
}

func (d *details) readCredentials(ctx context.Context) error {
	return list(ctx, d.target.http, "read a user's credentials", d.path("/credentials"), nil, func(c credentialRep) error {
		d.credentials = append(d.credentials, c)
		return nil
	})
}

// readPlaces reads the user's organizations, and the departments in those that
// have any.
func (d *details) readPlaces(ctx context.Context) error {
	if len(d.census.organizations) == 0 {
		return nil
	}
	var organizations []string
	user := url.PathEscape(d.user)
	err := list(ctx, d.target.http, "read a user's organizations", "/organizations/members/"+user+"/organizations",
		url.Values{"briefRepresentation": {"true"}, "first": {"0"}, "max": {everything}}, func(o organizationRep) error {
			organizations = append(organizations, o.ID)
			return nil
		})
	if err != nil {
		return err
	}
	for _, o := range organizations {
		id, key := d.census.name(schemas.Organizations, o)
		d.places = append(d.places, place{organization: id.String(), organizationKey: key})
		if tree := d.census.departments[o]; tree != nil && len(tree.byID) == 0 {
			continue
		}
		err := list(ctx, d.target.http, "read a user's departments", "/organizations/"+url.PathEscape(o)+"/members/"+user+"/groups",
			url.Values{"briefRepresentation": {"true"}, "first": {"0"}, "max": {everything}}, func(g groupRep) error {
				p := place{organization: id.String(), organizationKey: key}
				dept, deptKey := d.census.name(schemas.Departments, g.ID)
				p.department, p.departmentKey = dept.String(), deptKey
				d.places = append(d.places, p)
				return nil
			})
		if err != nil {
			return err
		}
	}
	return nil
}
