package transform

import (
	"embed"
	"io/fs"
)

//go:embed testdata/demo
var demo embed.FS

// DemoFiles are the mapping of the reference scenario and its templates: what
// `parallelrun init` writes, and what tests of this package run.
func DemoFiles() fs.FS {
	sub, err := fs.Sub(demo, "testdata/demo")
	if err != nil {
		panic(err) // the path is a constant
	}
	return sub
}
