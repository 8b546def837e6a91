// Command testsummary reads the output of `go test -json` and prints what a
// person wants to see: a line per package, the output of failed tests, every
// skipped test by name with its reason, and a closing line of counts.
//
//	go test -json ./... | go run ./scripts/testsummary
//
// Nouns: an event is one line of that output; a leaf is a test without
// subtests, which is what is counted. The exit code is 1 if a test or package
// failed, and, where CI=true, if a test was skipped for another reason than
// data that is kept outside of the repository.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	label := flag.String("label", "", "word before the closing line")
	sum := flag.String("sum", "", "print the sum of the counts in this `file` instead of reading tests")
	flag.Parse()
	if *sum != "" {
		os.Exit(printSum(*sum))
	}
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(2)
	}
	ok := s.close(*label, os.Getenv("CI") == "true")
	if err := s.keep(os.Getenv("TEST_TOTALS")); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func printSum(file string) int {
	total, err := readTotals(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		return 2
	}
	fmt.Println(total)
	if total.Failed > 0 || total.Passed == 0 {
		return 1
	}
	return 0
}
