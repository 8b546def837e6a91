package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/transform"
)

// starterFiles are the files of the starting set by name: the configuration,
// and what the stages bring along for it.
func starterFiles() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, from := range []fs.FS{config.Starter(), transform.DemoFiles()} {
		err := fs.WalkDir(from, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			files[name], err = fs.ReadFile(from, name)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// writeStarter writes the starting set into dir and returns the names. It
// writes all of it or nothing.
func writeStarter(dir string) ([]string, error) {
	files, err := starterFiles()
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(files))
	if err := nothingThere(dir, names); err != nil {
		return nil, err
	}
	var made []string
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		err := writeNew(path, files[name])
		if err != nil {
			for _, m := range made {
				err = errors.Join(err, os.Remove(m)) // ours, made above
			}
			return nil, ui.Refusef("choose a folder that you may write to", "init: %w", err)
		}
		made = append(made, path)
	}
	return names, nil
}

func nothingThere(dir string, names []string) error {
	var there []string
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			there = append(there, name)
		}
	}
	if len(there) == 0 {
		return nil
	}
	return ui.Refusef("name another folder: parallelrun init DIR", "%s holds %s already: nothing was written", dir, strings.Join(there, ", "))
}

func writeNew(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), os.Remove(path))
	}
	return nil
}
