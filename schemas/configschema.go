package schemas

import _ "embed"

// ConfigSchema is the JSON Schema (draft 2020-12) of migration.yaml.
//
//go:embed config.schema.json
var ConfigSchema []byte

// DecisionsSchema is the JSON Schema (draft 2020-12) of a file of decisions.
//
//go:embed decisions.schema.json
var DecisionsSchema []byte
