package ldif

import "github.com/parallelrun/parallelrun/extract"

// Specs declares the tables that a source with this configuration has, the
// catch-all last, without looking at any file: a mapping can be checked before
// there is an export.
func (c *Config) Specs() ([]extract.TableSpec, error) {
	tables, err := compile(c)
	if err != nil {
		return nil, err
	}
	specs := make([]extract.TableSpec, len(tables))
	for i, t := range tables {
		specs[i] = t.spec
	}
	return specs, nil
}
