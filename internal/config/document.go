package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document is a YAML file as plain values (maps, lists, strings, numbers,
// booleans, nil) that remembers where each of them stands.
type document struct {
	file  string
	value any
	keys  map[string]position // of a map's entry: its key
	where map[string]position // of a value
	// anchors that were defined above, for aliases
	anchors map[string]ast.Node
	nodes   int
	depth   int
}

type position struct{ line, column int }

// path leads from the root to a value: map keys and list indexes.
type path []string

func (p path) child(elem string) path { return append(p[:len(p):len(p)], elem) }
func (p path) id() string             { return strings.Join(p, "\x00") }

// String is the path as people write it: sources.ldap.files[0].
func (p path) String() string {
	var b strings.Builder
	for _, elem := range p {
		switch _, err := strconv.Atoi(elem); {
		case err == nil:
			fmt.Fprintf(&b, "[%s]", elem)
		case b.Len() > 0:
			b.WriteString("." + elem)
		default:
			b.WriteString(elem)
		}
	}
	return b.String()
}

// Bounds of a document, aliases resolved. They keep a file that refers to
// itself over and over from filling the memory.
const (
	maxNodes = 100_000
	maxDepth = 50
)

// parseDocument reads one YAML document. Problems of syntax stop it at once.
func parseDocument(file string, data []byte) (*document, *Problem) {
	d := &document{file: file, keys: map[string]position{}, where: map[string]position{}, anchors: map[string]ast.Node{}}
	if !utf8.Valid(data) {
		return nil, d.problem(firstInvalid(data), nil, "the file is not valid UTF-8", "save it as UTF-8")
	}
	f, err := parseYAML(data)
	if err != nil {
		return nil, d.syntaxProblem(err)
	}
	if len(f.Docs) > 1 && f.Docs[1].Body != nil {
		return nil, d.problem(at(f.Docs[1].Body), nil, "a second YAML document begins here", "keep one document in the file: drop the --- line")
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return nil, d.problem(position{1, 1}, nil, "the file is empty", "`parallelrun init` writes one to start from")
	}
	value, p := d.decode(nil, f.Docs[0].Body)
	if p != nil {
		return nil, p
	}
	d.value = value
	return d, nil
}

// parseYAML guards against a panic of the parser: the file comes from outside.
func parseYAML(data []byte) (f *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("the file is not valid YAML: the parser gave up: %v", r)
		}
	}()
	return parser.ParseBytes(data, 0)
}

func firstInvalid(data []byte) position {
	pos := position{1, 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			return pos
		}
		pos.column++
		if r == '\n' {
			pos = position{pos.line + 1, 1}
		}
		data = data[size:]
	}
	return pos
}

// syntaxProblem keeps the parser's message and position but not its excerpt of
// the file, in which a secret may stand.
func (d *document) syntaxProblem(err error) *Problem {
	ye, ok := err.(yaml.Error)
	if !ok || ye.GetToken() == nil {
		return &Problem{File: d.file, What: err.Error()}
	}
	pos := ye.GetToken().Position
	hint := "indent with spaces; quote values that hold a colon, # or braces"
	if strings.Contains(ye.GetMessage(), "already defined") {
		hint = "keep one of the two"
	}
	return d.problem(position{pos.Line, pos.Column}, nil, "not valid YAML: "+withoutValues(ye.GetMessage()), hint)
}

// withoutValues cuts quoted words out of a message that are not plain names.
func withoutValues(msg string) string {
	parts := strings.Split(msg, `"`)
	for i := 1; i < len(parts); i += 2 {
		if !isName(parts[i]) {
			parts[i] = "..."
		}
	}
	return strings.Join(parts, `"`)
}

func isName(s string) bool {
	for _, r := range s {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') {
			return false
		}
	}
	return len(s) <= 40
}

func (d *document) problem(pos position, p path, what, hint string) *Problem {
	return &Problem{File: d.file, Line: pos.line, Column: pos.column, Path: p.String(), What: what, Next: hint}
}

// at is where a node begins.
func at(n ast.Node) position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return at(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return at(n.Key)
	}
	return atToken(n.GetToken())
}

func atToken(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{1, 1}
	}
	return position{t.Position.Line, t.Position.Column}
}

// decode turns a node into plain values and notes where they stand.
func (d *document) decode(p path, n ast.Node) (any, *Problem) {
	d.depth++
	defer func() { d.depth-- }()
	d.nodes++
	if d.nodes > maxNodes || d.depth > maxDepth {
		return nil, d.problem(at(n), p, "the file is too large or nested too deeply", "check its aliases (*name)")
	}
	if _, seen := d.where[p.id()]; !seen {
		d.where[p.id()] = at(n)
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return nil, nil
	case *ast.MappingNode:
		return d.decodeMap(p, n.Values)
	case *ast.MappingValueNode:
		return d.decodeMap(p, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		return d.decodeList(p, n)
	case *ast.AnchorNode:
		d.anchors[n.Name.GetToken().Value] = n.Value
		return d.decode(p, n.Value)
	case *ast.AliasNode:
		return d.decodeAlias(p, n)
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.IntegerNode:
		return n.Value, nil
	case *ast.FloatNode:
		return n.Value, nil
	case *ast.BoolNode:
		return n.Value, nil
	}
	return nil, d.problem(at(n), p, fmt.Sprintf("%s is not used in this file", strings.ToLower(n.Type().String())), "write a plain value")
}

func (d *document) decodeMap(p path, entries []*ast.MappingValueNode) (any, *Problem) {
	m := make(map[string]any, len(entries))
	for _, e := range entries {
		if e.Key.IsMergeKey() {
			return nil, d.problem(at(e.Key), p, "merge keys (<<) are not used in this file", "write the entries out")
		}
		key := e.Key.GetToken().Value
		child := p.child(key)
		if _, dup := m[key]; dup {
			return nil, d.problem(at(e.Key), child, fmt.Sprintf("%q stands here a second time", key), "keep one of the two")
		}
		d.keys[child.id()] = at(e.Key)
		v, problem := d.decode(child, e.Value)
		if problem != nil {
			return nil, problem
		}
		m[key] = v
	}
	return m, nil
}

func (d *document) decodeList(p path, n *ast.SequenceNode) (any, *Problem) {
	list := make([]any, 0, len(n.Values))
	for i, item := range n.Values {
		v, problem := d.decode(p.child(strconv.Itoa(i)), item)
		if problem != nil {
			return nil, problem
		}
		list = append(list, v)
	}
	return list, nil
}

func (d *document) decodeAlias(p path, n *ast.AliasNode) (any, *Problem) {
	target, ok := d.anchors[n.Value.GetToken().Value]
	if !ok {
		return nil, d.problem(at(n), p, "alias without an anchor above it", "define it with &name first")
	}
	return d.decode(p, target)
}

// locate finds where a value stands; for one that is not there, the nearest
// thing around it.
func (d *document) locate(p path) position {
	for ; ; p = p[:len(p)-1] {
		if pos, ok := d.where[p.id()]; ok {
			return pos
		}
		if len(p) == 0 {
			return position{1, 1}
		}
	}
}

// locateKey finds where a map's key stands.
func (d *document) locateKey(p path) position {
	if pos, ok := d.keys[p.id()]; ok {
		return pos
	}
	return d.locate(p)
}
