package transform

import (
	"sync"

	"github.com/parallelrun/parallelrun/internal/extsort"
)

// spills are the external sorts of a run. Each is a step of a join:
//
//	structure  organizations, departments and groups, by entity and row id
//	merging    users that a merge rule may join, by merge key
//	users      users, by row id
//	identities lower-cased usernames and e-mail addresses → users
//	references values of lookups → users, then what refers to them
//	events     what the joins found out about users, by row id
type spills struct {
	structureRows, merging, users, identities, references, events *sorter
}

// sorter is an external sort that several goroutines may add to.
type sorter struct {
	mu sync.Mutex
	*extsort.Sorter
}

func (s *sorter) add(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Sorter.Add(key, value)
}

// newSpills shares the memory out: half to the sorts, since rows in flight and
// the structure need the rest.
func newSpills(memory int64, dir string) *spills {
	share := func(parts int64) *sorter {
		return &sorter{Sorter: extsort.New(extsort.Options{Memory: max(memory*parts/32, 256<<10), Dir: dir})}
	}
	return &spills{structureRows: share(1), merging: share(3), users: share(5), identities: share(2), references: share(3), events: share(2)}
}

func (s *spills) all() []*sorter {
	return []*sorter{s.structureRows, s.merging, s.users, s.identities, s.references, s.events}
}

func (s *spills) spilled() int64 {
	var n int64
	for _, x := range s.all() {
		n += x.Spilled()
	}
	return n
}

func (s *spills) close() {
	for _, x := range s.all() {
		_ = x.Close() // temporary files without a name: nothing is lost
	}
}
