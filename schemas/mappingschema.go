package schemas

import _ "embed"

// MappingSchema is the JSON Schema (draft 2020-12) of mapping.yaml.
//
//go:embed mapping.schema.json
var MappingSchema []byte
