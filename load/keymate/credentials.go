package keymate

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// States of a credential, as in the table's column.
const (
	stateActive     = "active"
	stateExpired    = "expired"
	stateMustChange = "must_change"
	stateDisabled   = "disabled"
)

// schemes are the neutral algorithms that Keycloak verifies, with its own names
// for them.
var schemes = map[string]struct{ provider, argon2 string }{
	schemas.PBKDF2SHA1:   {"pbkdf2", ""},
	schemas.PBKDF2SHA256: {"pbkdf2-sha256", ""},
	schemas.PBKDF2SHA512: {"pbkdf2-sha512", ""},
	schemas.Argon2ID:     {"argon2", "id"},
	schemas.Argon2I:      {"argon2", "i"},
	schemas.Argon2D:      {"argon2", "d"},
}

// argon2Versions maps the numbers of the PHC form to Keycloak's names.
var argon2Versions = map[string]string{"16": "1.0", "19": "1.3"}

// credentials projects a user's credentials: one password at most, with a hash
// that the server can verify.
func (p *projector) credentials(rows []schemas.Row) (out []schemas.Row, mustChange bool, list []load.Note) {
	const tb = schemas.Credentials
	n := &notes{table: tb}
	for _, row := range newestFirst(rows) {
		if why := p.unfit(row); why != "" {
			n.add(load.LeftOut, "secret", why)
			continue
		}
		if len(out) > 0 {
			n.add(load.LeftOut, "secret", "an account has one password: the newest is kept")
			continue
		}
		switch text(tb, row, "state") {
		case stateMustChange, stateExpired:
			mustChange = true
			n.add(load.Kept, "state", "kept as the required action "+updatePassword)
		}
		out = append(out, projectCredential(row, n))
	}
	return out, mustChange, n.list
}

func projectCredential(row schemas.Row, n *notes) schemas.Row {
	const tb = schemas.Credentials
	out := blankRow(tb, row.ID, row.Key)
	for _, c := range []string{"user", "type", "algorithm", "state"} {
		put(tb, out, c, text(tb, row, c))
	}
	put(tb, out, "parameters", textMap(tb, row, "parameters"))
	put(tb, out, "secret", cell(tb, row, "secret"))
	if at, ok := moment(tb, row, "changed_at"); ok {
		put(tb, out, "changed_at", toMicros(toMillis(at)))
	}
	if cell(tb, row, "version") != nil {
		n.add(load.LeftOut, "version", "Keycloak keeps no version of a credential")
	}
	return out
}

func newestFirst(rows []schemas.Row) []schemas.Row {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b schemas.Row) int {
		x, _ := moment(schemas.Credentials, a, "changed_at")
		y, _ := moment(schemas.Credentials, b, "changed_at")
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return a.ID.Compare(b.ID)
	})
	return rows
}

// unfit says why the target can't take a credential; empty if it can.
func (p *projector) unfit(row schemas.Row) string {
	const tb = schemas.Credentials
	algorithm := text(tb, row, "algorithm")
	scheme, known := schemes[algorithm]
	switch {
	case text(tb, row, "type") != "password":
		return "credentials other than passwords are not carried"
	case text(tb, row, "state") == stateDisabled:
		return "the credential is disabled"
	case !known:
		return fmt.Sprintf("the target can't verify hashes of scheme %q: it needs a provider, a reset or capture at login", algorithm)
	case !p.facts.hashes(scheme.provider):
		return fmt.Sprintf("this server has no password-hashing provider %q", scheme.provider)
	case cell(tb, row, "secret") == nil:
		return "there is no secret"
	}
	if _, err := credentialData(algorithm, textMap(tb, row, "parameters"), 1); err != nil {
		return err.Error()
	}
	return ""
}

// credentialData is the public half of a stored password: a JSON text.
func credentialData(algorithm string, parameters map[string][]string, hashBytes int) (string, error) {
	scheme, known := schemes[algorithm]
	if !known {
		return "", fmt.Errorf("no scheme of the target: %q", algorithm)
	}
	number := func(name string, least int) (int, error) {
		list := parameters[name]
		if len(list) != 1 {
			return 0, fmt.Errorf("%s: parameter %q is missing", algorithm, name)
		}
		v, err := strconv.Atoi(list[0])
		if err != nil || v < least || v > 1<<30 {
			return 0, fmt.Errorf("%s: parameter %q is no number that can be", algorithm, name)
		}
		return v, nil
	}
	type data struct {
		Iterations int                 `json:"hashIterations"`
		Algorithm  string              `json:"algorithm"`
		Additional map[string][]string `json:"additionalParameters"`
	}
	iterations, err := number(schemas.ParamIterations, 1)
	if err != nil {
		return "", err
	}
	d := data{Iterations: iterations, Algorithm: scheme.provider, Additional: map[string][]string{}}
	if scheme.argon2 != "" {
		memory, err1 := number(schemas.ParamMemory, 1)
		parallelism, err2 := number(schemas.ParamParallelism, 1)
		version, known := "1.3", true
		if list := parameters[schemas.ParamVersion]; len(list) == 1 {
			version, known = argon2Versions[list[0]]
		}
		if err := errors.Join(err1, err2); err != nil {
			return "", err
		}
		if !known {
			return "", fmt.Errorf("%s: parameter %q is neither 16 nor 19", algorithm, schemas.ParamVersion)
		}
		d.Additional = map[string][]string{
			"type": {scheme.argon2}, "version": {version}, "hashLength": {strconv.Itoa(hashBytes)},
			"memory": {strconv.Itoa(memory)}, "parallelism": {strconv.Itoa(parallelism)},
		}
	}
	b, err := json.Marshal(d)
	return string(b), err
}

// secretData is the secret half: standard padded base64, since the server
// compares the texts.
func secretData(m schemas.SecretMaterial) (string, error) {
	if len(m.Hash) == 0 {
		return "", errors.New("the secret holds no hash")
	}
	if len(m.Salt) == 0 {
		return "", errors.New("the secret holds no salt, which the server's Java refuses")
	}
	b, err := json.Marshal(map[string]any{
		"value":                base64.StdEncoding.EncodeToString(m.Hash),
		"salt":                 base64.StdEncoding.EncodeToString(m.Salt),
		"additionalParameters": map[string]any{},
	})
	return string(b), err
}

// encodeCredential opens a credential row and makes what the server stores. Its
// errors name the row and hold nothing of the secret.
func (t *Target) encodeCredential(row schemas.Row) (credentialRep, error) {
	const tb = schemas.Credentials
	fail := func(err error) (credentialRep, error) {
		return credentialRep{}, &load.Error{Class: load.Permanent, Op: "encode the password of " + row.Key, Message: err.Error(),
			Hint: "mend the credential in the source, or leave it out by the mapping"}
	}
	sealed, ok := cell(tb, row, "secret").(schemas.Sealed)
	if !ok {
		return fail(errors.New("there is no secret"))
	}
	if t.cfg.Secrets == nil {
		return fail(errors.New("no key to open secrets was given"))
	}
	plain, err := t.cfg.Secrets.Open(tb, row.ID, "secret", sealed)
	if err != nil {
		return fail(fmt.Errorf("open the secret: %w", err))
	}
	defer clear(plain)
	var m schemas.SecretMaterial
	if json.Unmarshal(plain, &m) != nil { // the error would quote the secret
		return fail(errors.New("the secret is no JSON of a hash"))
	}
	rep := credentialRep{Type: "password"}
	if rep.CredentialData, err = credentialData(text(tb, row, "algorithm"), textMap(tb, row, "parameters"), len(m.Hash)); err != nil {
		return fail(err)
	}
	if rep.SecretData, err = secretData(m); err != nil {
		return fail(err)
	}
	if at, ok := moment(tb, row, "changed_at"); ok {
		millis := toMillis(at)
		rep.CreatedDate = &millis
	}
	return rep, nil
}

// readCredential makes the row of a credential that the server has; hash and
// parameters can't be read, or not for long.
func readCredential(user schemas.RowID, userKey string, c credentialRep) schemas.Row {
	const tb = schemas.Credentials
	row := blankRow(tb, schemas.CredentialID(user, c.Type), schemas.CredentialKey(userKey, c.Type))
	put(tb, row, "user", user.String())
	put(tb, row, "type", c.Type)
	if c.CreatedDate != nil && *c.CreatedDate >= 0 {
		put(tb, row, "changed_at", toMicros(*c.CreatedDate))
	}
	return row
}
