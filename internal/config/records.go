package config

import (
	"bytes"
	"encoding/json"
	"errors"
)

// CSV is a set of CSV files.
type CSV struct {
	Records
	Delimiter string   `json:"delimiter,omitempty"` // empty: a comma
	Quote     string   `json:"quote,omitempty"`     // empty: a double quote
	Nulls     []string `json:"nulls,omitempty"`     // beside the empty field without quotes
}

// JSONL is a set of JSON Lines files.
type JSONL struct{ Records }

// Records are files of records of any format.
type Records struct {
	Tables       []RecordTable `json:"tables"`
	SecretFields []string      `json:"secretFields,omitempty"` // beside those known by name
	Encoding     string        `json:"encoding,omitempty"`     // empty: UTF-8, or what a byte order mark says
	MaxRow       Size          `json:"maxRow,omitempty"`       // zero: the reader's own
}

// RecordTable is one table and the files that it takes.
type RecordTable struct {
	Name string `json:"name"`
	// Files are paths or patterns, read in this order.
	Files []string `json:"files"`
	// Key names the fields that identify a row for good.
	Key     OneOrMore               `json:"key"`
	KeyCase string                  `json:"keyCase,omitempty"` // exact or fold; empty: exact
	Header  []string                `json:"header,omitempty"`
	Ignore  []string                `json:"ignore,omitempty"`
	Flatten bool                    `json:"flatten,omitempty"`
	Columns map[string]RecordColumn `json:"columns,omitempty"`
}

// RecordColumn is a field with a column of its own; in the file its type alone,
// or a map.
type RecordColumn struct {
	Type      string    `json:"type,omitempty"` // empty: string
	As        string    `json:"as,omitempty"`   // empty: the field's name
	Optional  bool      `json:"optional,omitempty"`
	Separator string    `json:"separator,omitempty"`
	Layout    OneOrMore `json:"layout,omitempty"`
	Zone      string    `json:"zone,omitempty"`
	Encoding  string    `json:"encoding,omitempty"`
	True      []string  `json:"trueWords,omitempty"`
	False     []string  `json:"falseWords,omitempty"`
}

// UnmarshalJSON takes a type alone as well.
func (c *RecordColumn) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		return json.Unmarshal(data, &c.Type)
	}
	type plain RecordColumn
	return json.Unmarshal(data, (*plain)(c))
}

// OneOrMore is a list that may be written as its only element.
type OneOrMore []string

// UnmarshalJSON takes a text or a list of them.
func (o *OneOrMore) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = OneOrMore{one}
		return nil
	}
	var more []string
	if err := json.Unmarshal(data, &more); err != nil {
		return errors.New("neither a text nor a list of texts")
	}
	*o = more
	return nil
}

// records are the files of records of a source, nil for other kinds.
func (s *Source) records() *Records {
	switch {
	case s.CSV != nil:
		return &s.CSV.Records
	case s.JSONL != nil:
		return &s.JSONL.Records
	}
	return nil
}
