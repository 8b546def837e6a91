package sandbox

import (
	"bufio"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Dump writes a realm as JSON, one object per line, in an order that depends on the content alone. Two targets that hold the same
// are dumped to the same bytes: ids and times that the server chose are left out, organizations go by alias, groups by path, and a
// credential's secret appears as a digest under the caller's key. The realm's own id and name are left out too.
func (s *Server) Dump(w io.Writer, realmName string, key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	re := s.realms[realmName]
	if re == nil {
		return fmt.Errorf("sandbox: dump: no realm %q", realmName)
	}
	out := bufio.NewWriterSize(w, 1<<16)
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	d := dumper{re: re, key: key, encode: e.Encode}
	if err := d.all(); err != nil {
		return fmt.Errorf("sandbox: dump: %w", err)
	}
	return out.Flush()
}

type dumper struct {
	re     *realm
	key    []byte
	encode func(any) error
}

type dumpedRole struct {
	Role        string              `json:"role"`
	Description *string             `json:"description,omitempty"`
	Attributes  map[string][]string `json:"attributes,omitempty"`
	Composites  []string            `json:"composites,omitempty"`
}

type dumpedOrganization struct {
	Organization string              `json:"organization"` // alias
	Name         string              `json:"name"`
	Description  *string             `json:"description,omitempty"`
	Enabled      bool                `json:"enabled"`
	Attributes   map[string][]string `json:"attributes,omitempty"`
	Domains      []wireDomain        `json:"domains,omitempty"`
}

type dumpedGroup struct {
	Group        string              `json:"group"` // path
	Organization string              `json:"organization,omitempty"`
	Description  *string             `json:"description,omitempty"`
	Attributes   map[string][]string `json:"attributes,omitempty"`
	Roles        []string            `json:"roles,omitempty"`
}

type dumpedUser struct {
	User           string              `json:"user"` // username
	ID             string              `json:"id,omitempty"`
	Email          string              `json:"email,omitempty"`
	EmailVerified  bool                `json:"emailVerified"`
	FirstName      *string             `json:"firstName,omitempty"`
	LastName       *string             `json:"lastName,omitempty"`
	Enabled        bool                `json:"enabled"`
	Created        *int64              `json:"created,omitempty"`
	FederationLink string              `json:"federationLink,omitempty"`
	Attributes     map[string][]string `json:"attributes,omitempty"`
	Actions        []string            `json:"requiredActions,omitempty"`
	Credentials    []dumpedCredential  `json:"credentials,omitempty"`
	Roles          []string            `json:"roles,omitempty"`
	Groups         []string            `json:"groups,omitempty"`        // organization alias, then path
	Organizations  []string            `json:"organizations,omitempty"` // alias
}

type dumpedCredential struct {
	Type    string  `json:"type"`
	Label   *string `json:"label,omitempty"`
	Created *int64  `json:"created,omitempty"`
	Data    string  `json:"credentialData"`
	Secret  string  `json:"secretDigest"`
}

func (d *dumper) all() error {
	re := d.re
	for _, name := range slices.Sorted(maps.Keys(re.roles)) {
		r := re.roles[name]
		if r == re.defaultRole {
			continue // its name holds the realm's
		}
		if err := d.encode(dumpedRole{name, r.description, r.attributes, d.roles(r.composites)}); err != nil {
			return err
		}
	}
	if err := d.groups(re.top); err != nil {
		return err
	}
	for _, alias := range slices.Sorted(maps.Keys(re.orgsByAlias)) {
		o := re.orgsByAlias[alias]
		w := briefOrganization(o)
		if err := d.encode(dumpedOrganization{alias, o.name, o.description, o.enabled, o.attributes, w.Domains}); err != nil {
			return err
		}
		if err := d.groups(o.root); err != nil {
			return err
		}
	}
	for _, u := range re.inOrder() {
		if u.has(service) {
			continue
		}
		if err := d.encode(d.user(u)); err != nil {
			return err
		}
	}
	return nil
}

func (d *dumper) groups(root *group) error {
	var err error
	root.walk(func(g *group) {
		if err != nil {
			return
		}
		w := dumpedGroup{Group: g.path(), Description: g.description, Attributes: g.attributes, Roles: d.roles(g.roles)}
		if g.org != nil {
			w.Organization = g.org.alias
		}
		err = d.encode(w)
	})
	return err
}

func (d *dumper) roles(list []*role) []string {
	var names []string
	for _, r := range list {
		name := r.name
		if r == d.re.defaultRole {
			name = "(default)"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (d *dumper) user(u *user) dumpedUser {
	w := dumpedUser{
		User: u.username, Email: u.email, EmailVerified: u.has(emailVerified), Enabled: u.has(enabled), FederationLink: u.federationLink,
		Actions: slices.Sorted(slices.Values(u.actions)), Roles: d.roles(u.roles),
	}
	if u.has(idChosen) {
		w.ID = u.id
	}
	if u.has(createdChosen) {
		w.Created = &u.created
	}
	if u.has(hasFirst) {
		w.FirstName = &u.first
	}
	if u.has(hasLast) {
		w.LastName = &u.last
	}
	if len(u.attributes) > 0 {
		w.Attributes = map[string][]string{}
		for _, a := range u.attributes {
			w.Attributes[a.name] = a.values
		}
	}
	for _, g := range u.groups {
		path := g.path()
		if g.org != nil {
			path = g.org.alias + ":" + path
		}
		w.Groups = append(w.Groups, path)
	}
	slices.Sort(w.Groups)
	for _, o := range u.organizations {
		w.Organizations = append(w.Organizations, o.alias)
	}
	slices.Sort(w.Organizations)
	for _, c := range u.credentials {
		m := hmac.New(sha256.New, d.key)
		m.Write([]byte(c.secret))
		dc := dumpedCredential{Type: c.kind, Label: c.label, Data: c.data, Secret: hex.EncodeToString(m.Sum(nil))}
		if c.createdChosen {
			dc.Created = &c.created
		}
		w.Credentials = append(w.Credentials, dc)
	}
	slices.SortFunc(w.Credentials, func(a, b dumpedCredential) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Secret, b.Secret))
	})
	return w
}
