package legacygen

import "strings"

// person writes a person's entry. Now and then one is spelled by a tool that
// writes names in lower case.
func (w entries) person(p *person) error {
	text := w.text
	if p.index%97 == 11 {
		text = func(name, v string) { w.text(strings.ToLower(name), v) }
	}
	w.Begin(p.dn)
	w.classes("person", "organizationalPerson", "inetOrgPerson", "legacyAccount")
	text("uid", p.uid)
	text("cn", p.cn)
	text("sn", p.surname)
	text("givenName", p.given)
	for _, m := range p.mail {
		text("mail", m)
	}
	for _, t := range p.phones {
		text("telephoneNumber", t)
	}
	text("employeeNumber", p.number)
	text("title", p.title)
	text("preferredLanguage", p.language)
	text("description", p.text)
	text("organizationDN", p.org.dn)
	for _, d := range p.depts {
		text("departmentDN", d)
	}
	text("departmentRole", p.role)
	w.status(p)
	if err := w.password(p); err != nil {
		return err
	}
	w.photo(p)
	w.operational("people", p.index, p.created, p.modified)
	w.End()
	return nil
}

func (w entries) status(p *person) {
	status := "active"
	switch p.kind {
	case Left, ReusedLeft:
		status = "left"
	case Disabled:
		status = "disabled"
	case Locked:
		w.text("pwdAccountLockedTime", "000001010000Z")
	case Expiring:
		w.text("accountExpires", "20991231235959Z")
	case Expired:
		w.text("accountExpires", "20201231235959Z")
	case MustChange:
		w.text("pwdReset", "TRUE")
	}
	w.text("accountStatus", status)
}

// password writes userPassword, as base64 whatever it is like slapcat does.
func (w entries) password(p *person) error {
	if p.scheme == "" {
		return nil
	}
	stored, err := storedPassword(w.config, p.index, p.scheme, clearPassword(w.config.Seed, p.index))
	if err != nil {
		return err
	}
	w.Base64("userPassword", []byte(stored))
	w.text("pwdChangedTime", p.changed.Format(timeFormat))
	return nil
}

// photo writes random bytes between the marks of a JPEG file.
func (w entries) photo(p *person) {
	if p.photo == 0 {
		return
	}
	w.Value("jpegPhoto", photoBytes(w.config, p.index, p.photo))
}

// photoBytes is the photo of person i, of the given size.
func photoBytes(c Config, i, size int) []byte {
	b := make([]byte, size)
	newDraw(c.Seed, "photo", i).fill(b)
	copy(b, "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02")
	copy(b[size-2:], "\xff\xd9")
	return b
}
