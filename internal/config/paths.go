package config

import (
	"os"
	"path/filepath"
)

// ShortPath is a path as messages show it: relative to the working folder
// where it lies below that.
func ShortPath(path string) string {
	wd, err := os.Getwd()
	if err != nil || !filepath.IsAbs(path) {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || !filepath.IsLocal(rel) {
		return path
	}
	return rel
}
