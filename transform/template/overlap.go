package template

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"unicode"
)

// maxOverlapSteps bounds the search for a text that satisfies several patterns.
const maxOverlapSteps = 200_000

// overlap tells whether some text of at least shortest and at most longest
// characters (negative: no bound) is matched somewhere by every pattern. It
// walks the patterns' automata side by side, so that a "no" is proven; known is
// false where a pattern is none of Go's or the search grows too long.
func overlap(patterns []string, shortest, longest int) (found, known bool) {
	s := search{shortest: max(shortest, 0), longest: longest}
	for _, p := range patterns {
		re, err := syntax.Parse(p, syntax.Perl)
		if err != nil {
			return false, false
		}
		prog, err := syntax.Compile(re.Simplify())
		if err != nil {
			return false, false
		}
		s.progs = append(s.progs, prog)
	}
	return s.run()
}

// search is a breadth-first walk over what the patterns can be in after a text.
type search struct {
	progs             []*syntax.Prog
	shortest, longest int
	runes             []rune // one of each kind that the patterns tell apart
	steps             int
}

// position is where a text has led: per pattern the places it may go on from
// (nil once it has matched), and the last character, on which \b and ^ depend.
type position struct {
	length  int
	last    rune // -1 at the start
	threads [][]uint32
}

func (s *search) run() (found, known bool) {
	s.alphabet()
	start := position{last: -1}
	for _, p := range s.progs {
		start.threads = append(start.threads, []uint32{uint32(p.Start)})
	}
	seen := map[string]bool{s.key(start): true}
	for queue := []position{start}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at.length >= s.shortest && s.ends(at) {
			return true, true
		}
		if s.longest >= 0 && at.length >= s.longest {
			continue
		}
		for _, r := range s.runes {
			if s.steps++; s.steps > maxOverlapSteps {
				return false, false
			}
			next, ok := s.step(at, r)
			if !ok {
				continue
			}
			if k := s.key(next); !seen[k] {
				seen[k] = true
				queue = append(queue, next)
			}
		}
	}
	return false, true
}

// key tells positions apart as far as the rest of a text can. With an upper
// bound a shorter way to the same place is as good as a longer one, and comes
// first.
func (s *search) key(p position) string {
	b := binary.AppendUvarint(nil, uint64(min(p.length, s.shortest)))
	b = append(b, kind(p.last))
	for _, t := range p.threads {
		b = binary.AppendUvarint(b, uint64(len(t)))
		for _, pc := range t {
			b = binary.AppendUvarint(b, uint64(pc))
		}
	}
	return string(b)
}

// kind is what assertions look at in a character.
func kind(r rune) byte {
	switch {
	case r < 0:
		return 's'
	case r == '\n':
		return 'n'
	case syntax.IsWordChar(r):
		return 'w'
	}
	return 'x'
}

// ends reports whether every pattern has matched when the text ends here.
func (s *search) ends(p position) bool {
	for i, t := range p.threads {
		if t == nil {
			continue
		}
		if _, matched := s.closure(i, t, syntax.EmptyOpContext(p.last, -1)); !matched {
			return false
		}
	}
	return true
}

// step adds a character; ok is false where a pattern can match no more.
func (s *search) step(p position, r rune) (next position, ok bool) {
	next = position{length: p.length + 1, last: r, threads: make([][]uint32, len(p.threads))}
	flags := syntax.EmptyOpContext(p.last, r)
	for i, t := range p.threads {
		if t == nil {
			continue
		}
		at, matched := s.closure(i, t, flags)
		if matched {
			continue
		}
		prog := s.progs[i]
		to := []uint32{uint32(prog.Start)} // a match may begin at any character
		for _, pc := range at {
			if inst := &prog.Inst[pc]; inst.MatchRune(r) {
				to = append(to, inst.Out)
			}
		}
		slices.Sort(to)
		next.threads[i] = slices.Compact(to)
	}
	return next, s.alive(next)
}

// alive drops positions from which an anchored pattern can't match any more:
// only its start is left, and that needs the start of the text.
func (s *search) alive(p position) bool {
	for i, t := range p.threads {
		prog := s.progs[i]
		if len(t) == 1 && t[0] == uint32(prog.Start) && prog.StartCond()&syntax.EmptyBeginText != 0 {
			return false
		}
	}
	return true
}

// closure follows what takes no character. It yields the instructions that
// wait for one, and whether the pattern has matched.
func (s *search) closure(prog int, from []uint32, flags syntax.EmptyOp) (at []uint32, matched bool) {
	insts := s.progs[prog].Inst
	seen := map[uint32]bool{}
	stack := slices.Clone(from)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		switch inst := &insts[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^flags == 0 {
				stack = append(stack, inst.Out)
			}
		case syntax.InstMatch:
			return nil, true
		case syntax.InstFail:
		default:
			at = append(at, pc)
		}
	}
	return at, false
}

// alphabet picks one character of each kind that no instruction tells apart.
func (s *search) alphabet() {
	bounds := []rune{0, '\n', '\n' + 1, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1, 0xd800, 0xe000}
	for _, p := range s.progs {
		for i := range p.Inst {
			bounds = append(bounds, edges(&p.Inst[i])...)
		}
	}
	slices.Sort(bounds)
	seen := map[string]bool{}
	for _, r := range slices.Compact(bounds) {
		if r > unicode.MaxRune || r >= 0xd800 && r < 0xe000 {
			continue
		}
		looks := []byte{kind(r)}
		for _, p := range s.progs {
			for i := range p.Inst {
				if isRune(&p.Inst[i]) {
					looks = append(looks, yes(p.Inst[i].MatchRune(r)))
				}
			}
		}
		if !seen[string(looks)] {
			seen[string(looks)] = true
			s.runes = append(s.runes, r)
		}
	}
}

func yes(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func isRune(inst *syntax.Inst) bool {
	switch inst.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// edges are the characters at which an instruction changes its mind.
func edges(inst *syntax.Inst) (out []rune) {
	if !isRune(inst) {
		return nil
	}
	if len(inst.Rune) == 1 { // one character, perhaps in either case
		for r, first := inst.Rune[0], true; first || r != inst.Rune[0]; first = false {
			out = append(out, r, r+1)
			r = unicode.SimpleFold(r)
		}
		return out
	}
	for i := 0; i+1 < len(inst.Rune); i += 2 {
		out = append(out, inst.Rune[i], inst.Rune[i+1]+1)
	}
	return out
}
