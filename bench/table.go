package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// result is a line of the table.
type result struct {
	work, side, goal, note string
	tool, other            measured
	rows, bytes            int64
	met                    bool
}

// reported is the goal of a line that has none.
const reported = "reported"

func (b *bench) add(r result) {
	b.table = append(b.table, r)
	fmt.Fprintln(os.Stderr, strings.Join(r.cells(), " | "))
}

func (r result) verdict() string {
	switch {
	case r.goal == reported:
		return ""
	case r.met:
		return "met"
	}
	return "**missed**"
}

func (r result) cells() []string {
	speed, rate := "", ""
	if r.rows > 0 && r.tool.Seconds > 0 {
		speed = fmt.Sprintf("%.0f k/s", float64(r.rows)/r.tool.Seconds/1e3)
	}
	if r.bytes > 0 && r.tool.Seconds > 0 {
		rate = fmt.Sprintf("%.0f", float64(r.bytes)/r.tool.Seconds/1e6)
	}
	ratio, other, cpu, peak := "", "", "", ""
	if r.other.Seconds > 0 {
		ratio, other = fmt.Sprintf("%.3g", r.tool.Seconds/r.other.Seconds), fmt.Sprintf("%.3f", r.other.Seconds)
		cpu, peak = fmt.Sprintf("%.2f", r.other.CPU), mebibytes(r.other.Peak)
	}
	return []string{r.work, fmt.Sprintf("%.3f", r.tool.Seconds), fmt.Sprintf("%.2f", r.tool.CPU), speed, rate, mebibytes(r.tool.Peak), r.side, other, cpu, peak, ratio, r.goal, r.verdict(), r.note}
}

// print writes the table as Markdown, with what a reader has to know of the
// machine.
func (b *bench) print(w io.Writer) {
	load, _ := os.ReadFile("/proc/loadavg")
	version, _ := exec.Command(b.tool, "version").Output()
	fmt.Fprintf(w, "%d users, %s of CSV; %d turns, medians of time, worst peaks; %s threads a side; the tool's limit %s; %s, %d cores, load %s\n%s\n", b.data.Rows, megabytes(b.data.Bytes), b.runs, threads,
		b.memory, runtime.Version(), runtime.NumCPU(), strings.TrimSpace(string(load)), strings.Join(strings.Fields(string(version)), " "))
	fmt.Fprintln(w, "\n| work | s | CPU s | rows | MB/s | peak MiB | beside it | s | CPU s | peak MiB | time against it | goal | | |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range b.table {
		fmt.Fprintln(w, "| "+strings.Join(r.cells(), " | ")+" |")
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func mebibytes(n int64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) }
