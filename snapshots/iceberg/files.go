package iceberg

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrRaced: another export wrote the table's next version meanwhile. Export
// again.
var ErrRaced = errors.New("another export wrote to the folder at the same time")

// ErrFolder: the folder can't be read or written to. Choose another, or make room.
var ErrFolder = errors.New("the tables' folder can't be used")

// output writes the metadata files of one table. Each takes its name when it is
// complete.
type output struct {
	dir string // of the metadata
	uri string // of the same, as readers see it
}

func newOutput(dir, location string) (output, error) {
	o := output{dir: filepath.Join(dir, folder), uri: location + "/" + folder + "/"}
	return o, folderError(os.MkdirAll(o.dir, 0o755))
}

// put writes a file named after its content, unless it is there, and returns
// what readers call it.
func (o output) put(name string, content []byte) (uri string, err error) {
	path := filepath.Join(o.dir, name)
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, content) {
		return o.uri + name, nil
	}
	return o.uri + name, o.replace(name, content)
}

// replace writes a file, over one that is there.
func (o output) replace(name string, content []byte) error {
	tmp, err := o.temp(name, content)
	if err != nil {
		return err
	}
	return folderError(os.Rename(tmp, filepath.Join(o.dir, name)))
}

// create writes a file whose name must be free.
func (o output) create(name string, content []byte) error {
	tmp, err := o.temp(name, content)
	if err != nil {
		return err
	}
	err = os.Link(tmp, filepath.Join(o.dir, name))
	if errors.Is(err, fs.ErrExist) {
		return errors.Join(fmt.Errorf("%s: %w", filepath.Join(o.dir, name), ErrRaced), os.Remove(tmp))
	}
	return folderError(errors.Join(err, os.Remove(tmp)))
}

func (o output) temp(name string, content []byte) (path string, err error) {
	f, err := os.CreateTemp(o.dir, "."+name+"-*")
	if err != nil {
		return "", folderError(err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644) // for the programs that read the table; it tells nothing of a person
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", folderError(errors.Join(err, os.Remove(f.Name())))
	}
	return f.Name(), nil
}

func folderError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrFolder, err)
}
