package demo

import "testing"

// Without --users the demo damages the 200 people that its description names.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		options         Options
		edited, damaged int
	}{{Options{}, 20, 200}, {Options{Keycloak: true}, 10, 200}, {Options{Users: 10_000}, 20, 200}} {
		p := play{Options: c.options}
		if p.edited() != c.edited || p.damaged() != c.damaged {
			t.Errorf("%+v: %d edited, %d damaged; want %d and %d", c.options, p.edited(), p.damaged(), c.edited, c.damaged)
		}
	}
}
