package load

import (
	"context"
	"sync"

	"github.com/parallelrun/parallelrun/schemas"
)

// Origins of an entry of the id map.
const (
	OriginCreated = "created"
	OriginFound   = "found"
	OriginAdopted = "adopted"
)

// IDMap is the id map of structure rows, in memory. It is safe for concurrent
// use.
type IDMap struct {
	mu       sync.RWMutex
	targets  map[schemas.RowID]IDEntry
	byTarget map[string]schemas.RowID
}

// IDEntry is one pair of the id map.
type IDEntry struct {
	Entity   string
	Key      string
	TargetID string
	Origin   string
	Run      string
}

var _ IDs = (*IDMap)(nil)

// NewIDMap returns an empty id map.
func NewIDMap() *IDMap {
	return &IDMap{targets: map[schemas.RowID]IDEntry{}, byTarget: map[string]schemas.RowID{}}
}

// ReadIDMap reads the entries of a snapshot's id map that do not follow from row
// ids: those of the structure and of adopted users.
func ReadIDMap(ctx context.Context, sn Snapshot) (*IDMap, error) {
	m := NewIDMap()
	err := m.read(ctx, sn)
	return m, err
}

// read adds a snapshot's entries; what is there already stays.
func (m *IDMap) read(ctx context.Context, sn Snapshot) error {
	shape := schemas.IDMapTable()
	for row, err := range newReader(sn, &shape).scan(ctx, schemas.RowID{}, schemas.RowID{}) {
		if err != nil {
			return err
		}
		e := idEntry(&shape, row)
		if _, there := m.Entry(row.ID); !there && (e.Entity != schemas.Users || e.Origin == OriginAdopted) {
			m.Add(row.ID, e)
		}
	}
	return nil
}

func idEntry(shape *schemas.Table, row schemas.Row) IDEntry {
	return IDEntry{
		Entity: text(cell(shape, &row, "entity")), Key: row.Key, TargetID: text(cell(shape, &row, "target_id")),
		Origin: text(cell(shape, &row, "origin")), Run: text(cell(shape, &row, "run")),
	}
}

// row is the entry as a row of the id map.
func (e IDEntry) row(id schemas.RowID) schemas.Row {
	return schemas.Row{ID: id, Key: e.Key, Values: []any{e.Entity, e.TargetID, e.Origin, e.Run}}
}

// Add sets a pair.
func (m *IDMap) Add(id schemas.RowID, e IDEntry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets[id] = e
	m.byTarget[e.TargetID] = id
}

// forget drops a row's pair: what it stood for is gone from the target.
func (m *IDMap) forget(id schemas.RowID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byTarget, m.targets[id].TargetID)
	delete(m.targets, id)
}

// Entry returns a row's pair.
func (m *IDMap) Entry(id schemas.RowID) (IDEntry, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, ok := m.targets[id]
	return e, ok
}

// TargetID implements IDs.
func (m *IDMap) TargetID(id schemas.RowID) (string, bool) {
	e, ok := m.Entry(id)
	return e.TargetID, ok
}

// RowID implements IDs.
func (m *IDMap) RowID(targetID string) (id schemas.RowID, key string, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	id, ok = m.byTarget[targetID]
	return id, m.targets[id].Key, ok
}

// rows yields the entries in no particular order.
func (m *IDMap) rows(yield func(schemas.RowID, IDEntry) bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for id, e := range m.targets {
		if !yield(id, e) {
			return
		}
	}
}
