package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// TakeLater leaves a conflict open: an entry that says so is no decision yet.
const TakeLater = "later"

// Decision is one entry of a file of decisions, as it stands there.
type Decision struct {
	Table   string `json:"table"`
	Key     string `json:"key"`
	ID      string `json:"id,omitempty"`
	Field   string `json:"field,omitempty"`
	Take    string `json:"take"`
	Account string `json:"account,omitempty"`
	// Place is file:line.
	Place string `json:"-"`
}

// LoadDecisions reads a file of decisions. What is wrong with it comes as
// Problems. Whether its rows exist is for the plan to say.
func LoadDecisions(file string) ([]Decision, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return nil, hinted{fmt.Errorf("%s: %w", ShortPath(file), err), "`parallelrun conflicts` writes one to edit"}
	}
	return ParseDecisions(ShortPath(file), data)
}

// ParseDecisions is LoadDecisions without a file system; file is named in
// errors and places.
func ParseDecisions(file string, data []byte) ([]Decision, error) {
	doc, problem := parseDocument(file, data)
	if problem != nil {
		return nil, Problems{problem}
	}
	if ps := decisionsSchema().validate(doc); len(ps) > 0 {
		return nil, ps
	}
	var all struct {
		Decisions []Decision `json:"decisions"`
	}
	text, err := json.Marshal(doc.value)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, Problems{doc.problem(doc.locate(nil), nil, "a value does not fit: "+err.Error(), "check the numbers there")}
	}
	out := all.Decisions[:0]
	for i, d := range all.Decisions {
		d.Place = fmt.Sprintf("%s:%d", file, doc.locate(path{"decisions", strconv.Itoa(i)}).line)
		if d.Take != TakeLater {
			out = append(out, d)
		}
	}
	return out, nil
}
