package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// measured is what one process took.
type measured struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"`  // seconds of all cores, the process's start included
	Peak    int64   `json:"peak"` // bytes of memory
	Out     string  `json:"out"`
}

// measure runs a program by a small process between, since a child's peak
// counts from that of the process that starts it. Exit code 1 of the tool is
// "differences found".
func measure(env []string, args ...string) (measured, error) {
	self, err := os.Executable()
	if err != nil {
		return measured{}, err
	}
	cmd := exec.Command(self, append([]string{"-between"}, args...)...)
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return measured{}, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	var m measured
	return m, json.Unmarshal(out, &m)
}

// between is that process: it runs a program and prints what it took.
func between(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	m := measured{Seconds: time.Since(start).Seconds(), Out: out.String()}
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
		return fmt.Errorf("%s: %w\n%s%s", args[0], err, out.String(), errs.String())
	}
	m.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	m.Peak = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	// A side that knows better what its work took says so: DuckDB's figures leave
	// out the start of its process.
	var own struct{ Seconds float64 }
	if json.Unmarshal(out.Bytes(), &own) == nil && own.Seconds > 0 {
		m.Seconds = own.Seconds
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

// median takes the middle by time, and the worst peak.
func median(all []measured) measured {
	slices.SortFunc(all, func(a, b measured) int {
		if a.Seconds < b.Seconds {
			return -1
		}
		return 1
	})
	m := all[len(all)/2]
	for _, x := range all {
		m.Peak = max(m.Peak, x.Peak)
	}
	return m
}
