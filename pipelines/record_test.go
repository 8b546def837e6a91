package pipelines

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/internal/ui"
)

func TestRunIDsSortByTime(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	first, second := NewRunID(at), NewRunID(at.Add(time.Second))
	if first >= second || NewRunID(at) == first {
		t.Errorf("ids %s, %s", first, second)
	}
}

// A run is found by its id, a part of it that only it has, or as the latest;
// what is not found says what there is.
func TestFindRun(t *testing.T) {
	s := newStore(t)
	if _, err := ReadRecord(t.Context(), s, "latest"); !errors.Is(err, ErrUnknownRun) || !strings.Contains(err.Error(), "no runs yet") {
		t.Errorf("empty store: %v", err)
	}
	for _, id := range []string{"20261123T090000Z-aaaaaa", "20261123T091500Z-bbbbbb"} {
		rec := Record{Version: 1, ID: id, Migration: "demo", Inputs: []string{"migration.yaml"}}
		if err := writeRecord(t.Context(), s, rec, []Input{{Name: "migration.yaml", Data: []byte("version: 1\n")}}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"latest": "20261123T091500Z-bbbbbb", "20261123T0900": "20261123T090000Z-aaaaaa", "20261123T091500Z-bbbbbb": "20261123T091500Z-bbbbbb",
	} {
		if rec, err := ReadRecord(t.Context(), s, name); err != nil || rec.ID != want {
			t.Errorf("%s: %s, %v", name, rec.ID, err)
		}
	}
	for name, part := range map[string]string{"2026": "2 runs start so", "1999": "the newest is 20261123T091500Z-bbbbbb"} {
		if _, err := ReadRecord(t.Context(), s, name); !errors.Is(err, ErrUnknownRun) || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A run that never came to its plan can't go on with other rules.
func TestResumeRefusesOtherInputs(t *testing.T) {
	s := newStore(t)
	rec := Record{Version: 1, ID: NewRunID(time.Now()), Migration: "demo", Target: "t", Namespace: "n"}
	if err := writeRecord(t.Context(), s, rec, []Input{{Name: "mapping/mapping.yaml", Data: []byte("old")}}); err != nil {
		t.Fatal(err)
	}
	r := &Runner{Name: "demo", TargetName: "t", Namespace: "n", Store: s, Inputs: []Input{{Name: "mapping/mapping.yaml", Data: []byte("new")}}}
	_, err := r.Resume(t.Context(), rec.ID, RunOptions{})
	if !errors.Is(err, ErrInputsChanged) || !strings.Contains(err.Error(), "mapping/mapping.yaml") {
		t.Fatalf("got %v", err)
	}
	if f, ok := errors.AsType[*ui.Failure](err); !ok || f.Code != ui.Refused {
		t.Errorf("no refusal: %v", err)
	}
	r.Namespace = "other"
	if _, err := r.Resume(t.Context(), rec.ID, RunOptions{}); err == nil || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("another namespace: %v", err)
	}
}

// What transform changed and what the target's projection changed are counted
// once per value.
func TestFieldsAddUp(t *testing.T) {
	f := FieldOutcome{Entity: "users", Field: "email", Carried: 10, Changed: 2, LeftOut: 1}
	f.moved(4, 20)
	want := FieldOutcome{Entity: "users", Field: "email", Changed: 6, Encoded: 6, LeftOut: 1}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Error(diff)
	}
}
