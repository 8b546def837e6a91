package main

import (
	"os"
	"strconv"
)

// partVariable makes the parts of a drift small.
const partVariable = "PARALLELRUN_TEST_DRIFT_PART"

func smallParts() {
	if n, err := strconv.ParseInt(os.Getenv(partVariable), 10, 64); err == nil {
		driftPart = n
	}
}
