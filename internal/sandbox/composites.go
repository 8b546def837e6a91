package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
)

// routeRolesByID serves what a role contains, below the role's id.
func (c *call) routeRolesByID(seg []string) reply {
	if len(seg) != 2 || seg[1] != "composites" {
		return noResource()
	}
	return c.composites(c.re.rolesByID[seg[0]], notFound("Could not find role with id"))
}

// composites answers for the roles that a role contains; missing is the answer where the role itself is not there.
func (c *call) composites(r *role, missing reply) reply {
	list := func() reply { return ok(convert(r.composites, c.re.briefRole)) }
	change := func(do func(*role)) func() reply {
		return func() reply {
			roles, refused := c.compositeRefs()
			if refused != nil {
				return *refused
			}
			for _, in := range roles {
				do(in)
			}
			return noContent()
		}
	}
	if r == nil {
		gone := func() reply { return missing }
		return c.dispatch(methods{"GET": gone, "POST": c.json(gone), "DELETE": c.json(gone)})
	}
	return c.dispatch(methods{"GET": list, "POST": c.json(change(r.contain)), "DELETE": c.json(change(r.release))})
}

func (r *role) contain(in *role) {
	if !slices.Contains(r.composites, in) {
		r.composites = append(slices.Clone(r.composites), in)
	}
}

func (r *role) release(in *role) {
	r.composites = slices.DeleteFunc(slices.Clone(r.composites), func(x *role) bool { return x == in })
}

// compositeRefs reads the body of a change of composites: a list of roles, known by their ids alone.
func (c *call) compositeRefs() ([]*role, *reply) {
	refuse := func(r reply) ([]*role, *reply) { return nil, &r }
	if len(strings.TrimSpace(string(c.body))) == 0 {
		return refuse(unknownError())
	}
	raw, err := parse(c.body)
	if err != nil {
		return refuse(decodeFailed(err))
	}
	if isNull(raw) {
		return refuse(unknownError())
	}
	var ids []*string
	err = each(func(raw json.RawMessage) error {
		var id *string
		if err := object(raw, "RoleRepresentation", roleFields(fields{"id": text(&id)})); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	}, func() {})(raw)
	if err != nil {
		return refuse(decodeFailed(err))
	}
	var roles []*role
	for _, id := range ids {
		if id == nil || c.re.rolesByID[*id] == nil {
			return refuse(notFound("Could not find composite role"))
		}
		roles = append(roles, c.re.rolesByID[*id])
	}
	return roles, nil
}
