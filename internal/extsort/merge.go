package extsort

import (
	"bytes"
	"errors"
)

// mergeFullLevel merges the runs of the lowest level into one of the next when
// there are as many as one merge reads. Runs stay ordered from old to new, so
// that equal keys keep their order.
func (s *Sorter) mergeFullLevel() error {
	for level := 0; ; level++ {
		n := 0
		for n < len(s.runs) && s.runs[len(s.runs)-1-n].level <= level {
			n++
		}
		if n < s.fanIn() {
			return nil
		}
		if err := s.mergeLast(n); err != nil {
			return err
		}
	}
}

// mergeLast replaces the newest n runs by one.
func (s *Sorter) mergeLast(n int) error {
	last := s.runs[len(s.runs)-n:]
	w, err := s.newRun(last[0].level + 1)
	if err != nil {
		return err
	}
	err = w.finish(s.merge(last, nil, nil, w.add))
	if err != nil {
		return errors.Join(err, w.run.f.Close())
	}
	s.spilled += w.written
	for _, r := range last {
		if err := r.f.Close(); err != nil {
			return &SpillError{Dir: s.dir, Op: "remove", Err: err}
		}
	}
	s.runs = append(s.runs[:len(s.runs)-n], w.run)
	return nil
}

// merge calls f with the records of runs, from <= key < to, in order.
func (s *Sorter) merge(runs []*run, from, to []byte, f func(Record) error) error {
	h, err := s.openRuns(runs, from)
	if err != nil {
		return err
	}
	for len(h) > 0 {
		if to != nil && bytes.Compare(h[0].key, to) >= 0 {
			return nil
		}
		rec, err := h[0].record()
		if err != nil {
			return err
		}
		if err := f(rec); err != nil {
			return err
		}
		if h, err = h.advance(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sorter) openRuns(runs []*run, from []byte) (readerHeap, error) {
	var h readerHeap
	for i, run := range runs {
		r := s.newRunReader(run, i)
		if from != nil {
			r.seek(from)
		}
		ok, err := r.advance()
		for err == nil && ok && from != nil && bytes.Compare(r.key, from) < 0 {
			ok, err = r.advance()
		}
		if err != nil {
			return nil, err
		}
		if ok {
			h = append(h, r)
		}
	}
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
	return h, nil
}

// readerHeap holds the reader with the smallest key at its root; of equal keys
// the older run's.
type readerHeap []*runReader

func (h readerHeap) less(i, j int) bool {
	x, y := h[i], h[j]
	if x.prefix != y.prefix {
		return x.prefix < y.prefix
	}
	if c := bytes.Compare(x.key, y.key); c != 0 {
		return c < 0
	}
	return x.ord < y.ord
}

// advance moves the root's reader on and restores the order.
func (h readerHeap) advance() (readerHeap, error) {
	ok, err := h[0].advance()
	if err != nil {
		return nil, err
	}
	if !ok {
		h[0] = h[len(h)-1]
		h = h[:len(h)-1]
	}
	h.down(0)
	return h, nil
}

func (h readerHeap) down(i int) {
	for {
		least := i
		if l := 2*i + 1; l < len(h) && h.less(l, least) {
			least = l
		}
		if r := 2*i + 2; r < len(h) && h.less(r, least) {
			least = r
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
