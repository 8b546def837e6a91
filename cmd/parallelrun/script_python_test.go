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

// setForeign sets $PYTHON, and $OPEN to where the programs lie that read our
// files.
func setForeign(env *testscript.Env) error {
	open, err := filepath.Abs("testdata/open")
	env.Setenv("PYTHON", python())
	env.Setenv("OPEN", open)
	return err
}

// condition knows [foreign]: there is a Python with what scripts read our files
// with.
func condition(name string) (bool, error) {
	if name == "foreign" {
		return hasForeign(), nil
	}
	return false, fmt.Errorf("condition %q is not known", name)
}
