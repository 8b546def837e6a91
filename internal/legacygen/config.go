package legacygen

import "fmt"

// Config describes a directory. The zero value is the reference scenario.
type Config struct {
	Seed        uint64 // zero is a seed like any other
	Users       int    // of the first organization; zero: 10,000
	SecondUsers int    // of the second; zero: 120
	// Rounds of PBKDF2; zero: 1000. Hashing dominates the time at scale.
	Rounds int
	// LargePhotos is how many people have a photo of 1 MiB; zero: 3, negative:
	// none. They come beside the small photos of every twentieth person.
	LargePhotos int
	// Clean leaves all dirt out: every person is Plain, every department and
	// group sound.
	Clean bool
}

// MinUsers is the smallest first organization that has room for every kind.
const MinUsers = 100

func (c Config) withDefaults() (Config, error) {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	set(&c.Users, 10000)
	set(&c.SecondUsers, 120)
	set(&c.Rounds, 1000)
	set(&c.LargePhotos, 3)
	c.LargePhotos = max(c.LargePhotos, 0)
	if c.Users < MinUsers && !c.Clean || c.Users < 1 || c.SecondUsers < 1 || c.Rounds < 1 {
		return c, fmt.Errorf("legacygen: %d and %d users, %d rounds: want at least %d users (one if clean), 1 and 1", c.Users, c.SecondUsers, c.Rounds, MinUsers)
	}
	if c.LargePhotos > c.Users/20 && c.LargePhotos > 3 {
		return c, fmt.Errorf("legacygen: %d large photos for %d users: want at most one in twenty", c.LargePhotos, c.Users)
	}
	return c, nil
}
