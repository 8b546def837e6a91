package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// foreign are the programs of others that scripts read our files with, as
// Python modules.
var foreign = []string{"duckdb", "pyiceberg", "pyarrow", "duckdb_extension_avro", "duckdb_extension_httpfs", "duckdb_extension_iceberg"}

// python is the one of make deps, which has them.
func python() string { return cmp.Or(os.Getenv("PARALLELRUN_PYTHON"), "python3") }

var hasForeign = sync.OnceValue(func() bool {
	return exec.Command(python(), "-c", "import "+strings.Join(foreign, ", ")).Run() == nil
})

// setForeign sets $PYTHON, $OPEN to where the programs lie that open snapshots
// with it, and $FORMAT to where the second reader of a store lies.
func setForeign(env *testscript.Env) error {
	env.Setenv("PYTHON", python())
	for name, dir := range map[string]string{"OPEN": "testdata/open", "FORMAT": "../../scripts/format"} {
		path, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		env.Setenv(name, path)
	}
	return nil
}

// condition knows [foreign]: there is a Python with what scripts read our files
// with.
func condition(name string) (bool, error) {
	if name == "foreign" {
		return hasForeign(), nil
	}
	return false, fmt.Errorf("condition %q is not known", name)
}
