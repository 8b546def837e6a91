package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 1 { // as a side, in a process of its own
		switch args[0] {
		case "-between":
			return between(args[1:])
		case "-duck":
			return duck(threads, args[1:]...)
		case "-sha256":
			return floor(args[1], false, hashFile)
		case "-decode":
			return floor(args[1], true, decodeFile)
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rows := flags.Int64("rows", 5_000_000, "users")
	runs := flags.Int("runs", 3, "turns of each work; the median counts")
	tool := flags.String("tool", "", "parallelrun, the program")
	dir := flags.String("dir", filepath.Join(os.TempDir(), "parallelrun-bench"), "folder for data and stores: some 2 KB for each user")
	memory := flags.String("memory", "512MiB", "the tool's memory limit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := os.Stat(*tool); err != nil {
		return fmt.Errorf("-tool: %w (make build makes it)", err)
	}
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "bench: %d users, twice, into %s\n", *rows, *dir)
	data, err := makeUsers(*dir, *rows)
	if err != nil {
		return err
	}
	b := &bench{data: data, dir: *dir, tool: *tool, runs: *runs, memory: *memory}
	err = b.run()
	b.print(os.Stdout)
	return err
}

// result is a line of the table.
type result struct {
	work, side, goal, note string
	tool, other            measured
	rows, bytes            int64
	met                    bool
}

func (b *bench) add(r result) { b.table = append(b.table, r) }

func (r result) verdict() string {
	switch {
	case r.goal == "reported":
		return ""
	case r.met:
		return "met"
	}
	return "**missed**"
}

func (r result) cells() []string {
	speed := ""
	if r.rows > 0 {
		speed = fmt.Sprintf("%.0f k/s", float64(r.rows)/r.tool.Seconds/1e3)
	}
	rate := ""
	if r.bytes > 0 {
		rate = fmt.Sprintf("%.0f", float64(r.bytes)/r.tool.Seconds/1e6)
	}
	ratio, other, cpu, peak := "", "", "", ""
	if r.other.Seconds > 0 {
		ratio, other = fmt.Sprintf("%.3g", r.tool.Seconds/r.other.Seconds), fmt.Sprintf("%.3f", r.other.Seconds)
		cpu, peak = fmt.Sprintf("%.2f", r.other.CPU), mebibytes(r.other.Peak)
	}
	return []string{r.work, fmt.Sprintf("%.3f", r.tool.Seconds), fmt.Sprintf("%.2f", r.tool.CPU), speed, rate, mebibytes(r.tool.Peak), r.side, other, cpu, peak, ratio, r.goal, r.verdict(), r.note}
}

func (r result) print(w io.Writer) { fmt.Fprintln(w, strings.Join(r.cells(), " | ")) }

// print writes the table as Markdown, with what a reader has to know of the
// machine.
func (b *bench) print(w io.Writer) {
	load, _ := os.ReadFile("/proc/loadavg")
	version, _ := exec.Command(b.tool, "version").Output()
	fmt.Fprintf(w, "%d users, %s of CSV; %d turns, medians of time, worst peaks; %s threads a side; %s, %d cores, load %s\n%s\n", b.data.Rows, megabytes(b.data.Bytes), b.runs, threads,
		runtime.Version(), runtime.NumCPU(), strings.TrimSpace(string(load)), strings.TrimSpace(string(version)))
	fmt.Fprintln(w, "\n| work | s | CPU s | rows | MB/s | peak MiB | beside it | s | CPU s | peak MiB | time against it | goal | | |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range b.table {
		fmt.Fprintln(w, "| "+strings.Join(r.cells(), " | ")+" |")
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func mebibytes(n int64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) }
