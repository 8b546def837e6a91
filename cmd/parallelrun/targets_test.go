package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/parallelrun/parallelrun/internal/config"
)

// realmTarget is a realm on a server as a target of a configuration. Secrets are
// references, such as ${NAME} and file:PATH.
type realmTarget struct {
	url, realm               string
	client, secret           string
	proofClient, proofSecret string
}

// rolesLine is the starting set's list of roles that a run may make.
var rolesLine = regexp.MustCompile(`(?m)^    roles: .*$`)

// withTarget adds a target to the starting set's configuration, and a migration
// of the same name from the same source by the same rules. The name sandbox
// points the target that is there at the realm.
func withTarget(text, name string, r realmTarget) (string, error) {
	lines := fmt.Sprintf("    realm: %s\n    url: %s\n    transactionLimit: 200ms\n    auth: {clientId: %s, clientSecret: %q}\n    proof: {clientId: %s, clientSecret: %q}\n",
		r.realm, r.url, r.client, r.secret, r.proofClient, r.proofSecret)
	if name == "sandbox" {
		if !sandboxTarget.MatchString(text) {
			return "", fmt.Errorf("the starting set's target has another shape")
		}
		return sandboxTarget.ReplaceAllString(text, strings.ReplaceAll(lines, "$", "$$")), nil
	}
	before, after, ok := strings.Cut(text, "\nmigrations:\n")
	if !ok {
		return "", fmt.Errorf("the starting set has no migrations")
	}
	return before + "\n  " + name + ":\n    dialect: keycloak\n" + lines + "    defaultRole: true\n" + rolesLine.FindString(text) + "\n    longAttributes: [jpegPhoto]\n" +
		"\nmigrations:\n" + strings.TrimRight(after, "\n") + "\n  " + name + ":\n    source: legacy\n    target: " + name +
		"\n    mapping: mapping.yaml\n    rejects:\n      maxRatio: {default: 0.05, credentials: 0.5, departments: 0.5}\n    credentialSync: none\n", nil
}

// addTarget is withTarget for a site.
func (s *site) addTarget(name string, r realmTarget) {
	s.t.Helper()
	path := filepath.Join(s.dir, config.DefaultName)
	data, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := withTarget(string(data), name, r)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// fewLogins takes the first few of the template's logins into few.csv.
func (s *site) fewLogins(n int) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "logins.csv"))
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	if err := os.WriteFile(filepath.Join(s.dir, "few.csv"), []byte(strings.Join(lines[:n+1], "")), 0o600); err != nil {
		s.t.Fatal(err)
	}
}
