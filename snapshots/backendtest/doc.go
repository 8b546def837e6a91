// Package backendtest holds what every store back end is tested with: Run, the
// conformance suite; Memory, a back end without a disk; Fault, a wrapper that
// fails on command.
package backendtest
