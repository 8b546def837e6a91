package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
)

type wireCredential struct {
	ID             string  `json:"id"`
	Type           string  `json:"type"`
	UserLabel      *string `json:"userLabel,omitempty"`
	CreatedDate    int64   `json:"createdDate"`
	CredentialData string  `json:"credentialData,omitempty"`
}

// credentialBody is a credential as somebody sent it.
type credentialBody struct {
	id, kind, label, secret, data, value *string
	created                              *int64
	temporary                            *bool
}

func (b *credentialBody) fields() fields {
	return fields{
		"id": text(&b.id), "type": text(&b.kind), "userLabel": text(&b.label), "createdDate": whole(&b.created),
		"secretData": text(&b.secret), "credentialData": text(&b.data), "value": text(&b.value), "temporary": truth(&b.temporary),
		"priority": nil, "device": nil, "hashedSaltedValue": nil, "salt": nil, "hashIterations": nil, "counter": nil, "algorithm": nil,
		"digits": nil, "period": nil, "config": nil, "federationLink": nil,
	}
}

func (c *call) routeCredentials(u *user, seg []string) reply {
	if len(seg) == 0 {
		return c.dispatch(methods{"GET": func() reply {
			return ok(convert(u.credentials, func(cr *credential) wireCredential {
				return wireCredential{cr.id, cr.kind, cr.label, cr.created, cr.data}
			}))
		}})
	}
	if len(seg) == 1 {
		return c.dispatch(methods{"DELETE": func() reply {
			at := slices.IndexFunc(u.credentials, func(cr *credential) bool { return cr.id == seg[0] })
			if at < 0 {
				return notFound("Credential not found")
			}
			c.removedKind = u.credentials[at].kind
			u.credentials = slices.Delete(slices.Clone(u.credentials), at, at+1)
			return noContent()
		}})
	}
	return noResource()
}

// prepareCredentials reads what was sent, without touching the user. Kinds that the server does not know are dropped.
func (c *call) prepareCredentials(u *user, bodies []*credentialBody) ([]*credential, *reply) {
	var list []*credential
	for _, b := range bodies {
		cr, refused := c.prepareCredential(u, list, b)
		if refused != nil {
			return nil, refused
		}
		if cr != nil {
			list = append(list, cr)
		}
	}
	return list, nil
}

func (c *call) prepareCredential(u *user, earlier []*credential, b *credentialBody) (*credential, *reply) {
	refuse := func(r reply) (*credential, *reply) { return nil, &r }
	if b == nil {
		return refuse(unknownError())
	}
	cr := &credential{label: b.label, created: c.now.UnixMilli()}
	if b.created != nil {
		cr.created, cr.createdChosen = *b.created, true
	}
	if b.id != nil {
		if slices.ContainsFunc(u.credentials, func(x *credential) bool { return x.id == *b.id }) {
			return nil, nil // known: left alone, in silence
		}
		cr.id = *b.id
	}
	if b.value != nil && *b.value != "" {
		salt := c.s.draw()
		policy := c.re.hashPolicy()
		cr.kind = "password"
		cr.data, cr.secret = policy.hash(*b.value, salt[:16])
		cr.created, cr.createdChosen, cr.label, cr.id = c.now.UnixMilli(), false, nil, ""
		return cr, nil
	}
	if b.kind == nil {
		return refuse(unknownError())
	}
	cr.kind = *b.kind
	if cr.kind == "password" && b.value != nil && b.data == nil {
		return cr, nil // an empty value: a password without anything in it, at which every login falls over
	}
	if cr.kind != "password" && cr.kind != "otp" {
		return nil, nil
	}
	if b.data == nil || b.secret == nil {
		return refuse(unknownError())
	}
	cr.data, cr.secret = c.s.intern(*b.data), *b.secret
	if refused := checkCredential(cr); refused != nil {
		return nil, refused
	}
	if cr.kind == "otp" {
		same := func(x *credential) bool {
			return x.kind == "otp" && (x.label == nil) == (cr.label == nil) && (cr.label == nil || *x.label == *cr.label)
		}
		if cr.label != nil && (slices.ContainsFunc(u.credentials, same) || slices.ContainsFunc(earlier, same)) {
			return refuse(message(409, "Device already exists with the same name"))
		}
	}
	return cr, nil
}

// checkCredential refuses what the server cannot read. It does not look at the algorithm: an unknown one is stored.
func checkCredential(cr *credential) *reply {
	refuse := func(err error) *reply {
		r := importDecodeFailed()
		if err == errSyntax {
			r = fail(500, oauthError{"invalid_request", "Cannot parse the JSON"})
		}
		return &r
	}
	if cr.kind == "password" {
		if _, err := readHashSecret(cr.secret); err != nil {
			return refuse(err)
		}
		if _, err := readHashParameters(cr.data); err != nil {
			return refuse(err)
		}
		return nil
	}
	for _, s := range []string{cr.secret, cr.data} {
		raw, err := parse([]byte(s))
		if err != nil {
			return refuse(err)
		}
		var m map[string]json.RawMessage
		if json.Unmarshal(raw, &m) != nil {
			return refuse(errShape)
		}
	}
	return nil
}

// store adds a credential. There is one password: another one takes its place and keeps its id.
func (u *user) store(cr *credential) {
	u.credentials = slices.Clone(u.credentials)
	if cr.kind == "password" {
		for i, old := range u.credentials {
			if old.kind == "password" {
				cr.id = old.id
				u.credentials[i] = cr
				return
			}
		}
	}
	if cr.id == "" {
		cr.id = u.realm.nextID()
	}
	u.credentials = append(u.credentials, cr)
}

func (c *call) resetPassword(u *user) reply {
	var b credentialBody
	switch err := c.read("CredentialRepresentation", b.fields()); {
	case err == errEmpty:
		return fail(400, plainError{"No password provided"})
	case err != nil:
		return decodeFailed(err)
	case b.value == nil:
		return fail(400, plainError{"No password provided"})
	case strings.TrimSpace(*b.value) == "":
		return fail(400, plainError{"Empty password not allowed"})
	}
	salt := c.s.draw()
	cr := &credential{kind: "password", created: c.now.UnixMilli()}
	cr.data, cr.secret = c.re.hashPolicy().hash(*b.value, salt[:16])
	u.store(cr)
	if b.temporary != nil && *b.temporary {
		u.require("UPDATE_PASSWORD")
	} else { // a lasting password ends the request for a new one
		u.actions = slices.DeleteFunc(slices.Clone(u.actions), func(a string) bool { return a == "UPDATE_PASSWORD" })
	}
	return noContent()
}
