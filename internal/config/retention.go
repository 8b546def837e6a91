package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Retention says which snapshots and runs are kept, beside those that are
// needed. Nil, and where it says nothing: all of them.
type Retention struct {
	Keep
	// Rules are for single datasets and stages, the first that matches counts;
	// the others are kept as Keep says.
	Rules []RetentionRule `json:"rules,omitempty"`
	// Runs is how many runs keep their files; nil: all.
	Runs *Keep `json:"runs,omitempty"`
	// Grace is how old an object must be to be garbage, and how long it lies there
	// after that; zero: the store's own.
	Grace Duration `json:"grace,omitempty"`
}

// Keep counts what is kept: the newest, and the newest of each of so many days
// and weeks that have one, in UTC. The zero Keep: all.
type Keep struct {
	Last   int `json:"last,omitempty"`
	Daily  int `json:"daily,omitempty"`
	Weekly int `json:"weekly,omitempty"`
}

// RetentionRule is a Keep of its own for a dataset, a stage, or both.
type RetentionRule struct {
	Dataset string `json:"dataset,omitempty"`
	Stage   string `json:"stage,omitempty"`
	Keep
}

// IsZero reports whether all is kept.
func (k Keep) IsZero() bool { return k == Keep{} }

// For is what is kept of a dataset and stage.
func (r *Retention) For(dataset, stage string) Keep {
	if r == nil {
		return Keep{}
	}
	for _, rule := range r.Rules {
		if (rule.Dataset == "" || rule.Dataset == dataset) && (rule.Stage == "" || rule.Stage == stage) {
			return rule.Keep
		}
	}
	return r.Keep
}

// retentionRules checks that every rule can match something, and says how much
// is kept.
func (c *Config) retentionRules() (ps Problems) {
	if c.Retention == nil {
		return nil
	}
	say := func(p path, what, next string) {
		ps = append(ps, c.doc.problem(c.doc.locate(p), p, what, next))
	}
	seen := map[[2]string]bool{}
	for i, rule := range c.Retention.Rules {
		p := path{"retention", "rules", strconv.Itoa(i)}
		switch key := [2]string{rule.Dataset, rule.Stage}; {
		case rule.Dataset == "" && rule.Stage == "":
			say(p, "the rule is for no dataset and no stage", "name one, or write last, daily and weekly below retention itself")
		case seen[key]:
			say(p, "a rule before it is for the same dataset and stage, so this one never counts", "remove one of the two")
		default:
			seen[key] = true
		}
		if rule.IsZero() {
			say(p, "the rule does not say how many are kept", "add last, daily or weekly")
		}
		if what, next := c.knownDataset(rule.Dataset); what != "" {
			say(p.child("dataset"), what, next)
		}
	}
	return ps
}

// knownDataset says what is wrong with a dataset's name.
func (c *Config) knownDataset(name string) (what, next string) {
	if name == "" {
		return "", ""
	}
	kind, of, _ := strings.Cut(name, "/")
	var ok bool
	switch kind {
	case "source":
		_, ok = c.Sources[of]
	case "migration":
		_, ok = c.Migrations[of]
	case "target":
		_, ok = c.Targets[of]
	default:
		return fmt.Sprintf("%q is no dataset", name), "write source/NAME, migration/NAME or target/NAME"
	}
	if ok {
		return "", ""
	}
	return fmt.Sprintf("there is no %s %q", kind, of), "correct the name, or remove the rule: what it was for is kept"
}
