package config

import (
	"embed"
	"io/fs"
)

//go:embed all:starter
var starter embed.FS

// Starter is the part of the set that `parallelrun init` writes which does not
// belong to a stage: migration.yaml and .gitignore.
func Starter() fs.FS {
	sub, err := fs.Sub(starter, "starter")
	if err != nil {
		panic(err) // the path is a constant
	}
	return sub
}
