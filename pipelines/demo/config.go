package demo

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"

	"github.com/parallelrun/parallelrun/internal/config"
)

// Names of the target in the demo's configuration.
const (
	sandboxTarget  = "sandbox"
	keycloakTarget = "keycloak"
)

// waveNames are the demo's waves in their order: each takes one department of
// the first organization with its sub-tree.
var waveNames = []string{pilot, "B", "C", "D", "E"}

const pilot = "pilot"

const scenarioWaves = `    # Users move in waves, in this order: the first that takes a user has it, for
    # good. Each takes a department with what is below it; docs/waves.md has the rules.
    waves:
      - {name: pilot, departments: [meridian/A]}
      - {name: B, departments: [meridian/B]}
      - {name: C, departments: [meridian/C]}
      - {name: D, departments: [meridian/D]}
      - {name: E, departments: [meridian/E]}
`

// change is a piece of the starting set's configuration that the scenario has
// otherwise.
type change struct {
	find *regexp.Regexp
	with string
}

var scenarioChanges = []change{
	{regexp.MustCompile(`(?m)^    # Users can move in waves.*\n(    #.*\n)*?    # waves:\n(    #   - .*\n)+`), scenarioWaves},
	{regexp.MustCompile(`(?m)^      # fields: \{users.*\}$`), `      fields: {'users.attributes["title"]': keymate, 'users.attributes["telephoneNumber"]': report}`},
	{regexp.MustCompile(`(?m)^    # So many users log in .*\n    loginProof: .*$`),
		"    # So many users of each password scheme log in with their legacy passwords at\n    # the end of a run that is given --logins.\n    loginProof: {users: 5}"},
}

// realChanges make the target a real server's realm.
func realChanges(url, client, proof string) []change {
	at := fmt.Sprintf("    realm: demo\n    url: %s\n    auth: {clientId: %s, clientSecret: 'file:%s'}\n    proof: {clientId: %s, clientSecret: 'file:%s'}\n",
		url, client, migratorSecretFile, proof, proofSecretFile)
	return []change{
		{regexp.MustCompile(`(?m)^  # A server inside this program.*\n(  #.*\n)*  sandbox:\n`), "  # The demo's own server, as long as the demo runs.\n  " + keycloakTarget + ":\n"},
		{regexp.MustCompile(`(?m)^    realm: demo\n    sandbox: .*\n`), at},
		{regexp.MustCompile(`(?m)^    target: sandbox$`), "    target: " + keycloakTarget},
	}
}

// changed is the starting set with changes made to its configuration.
func changed(files map[string][]byte, changes []change) (map[string][]byte, error) {
	text := files[config.DefaultName]
	for _, c := range changes {
		if len(c.find.FindAllIndex(text, 2)) != 1 {
			return nil, fmt.Errorf("demo: %s of the starting set has another shape: %s", config.DefaultName, c.find)
		}
		text = c.find.ReplaceAllLiteral(text, []byte(c.with))
	}
	out := maps.Clone(files)
	out[config.DefaultName] = bytes.Clone(text)
	return out, nil
}
