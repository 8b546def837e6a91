package transform

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is one value of a YAML document with its place. Mappings keep the order
// of their keys.
type node struct {
	kind         nodeKind
	line, column int
	text         string // scalars: the text as a person would say it
	value        any    // scalars: string, bool, int64, float64 or nil
	block        bool   // a block scalar: its text starts on the line after
	keys         []*node
	items        []*node // values of a mapping, by position of keys; items of a list
}

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	mapNode
	listNode
)

// get returns the value of a mapping's key, nil if there is none.
func (n *node) get(key string) *node {
	if n == nil || n.kind != mapNode {
		return nil
	}
	for i, k := range n.keys {
		if k.text == key {
			return n.items[i]
		}
	}
	return nil
}

// keyOf returns a mapping's key itself, nil if there is none.
func (n *node) keyOf(key string) *node {
	if n == nil || n.kind != mapNode {
		return nil
	}
	for _, k := range n.keys {
		if k.text == key {
			return k
		}
	}
	return nil
}

func (n *node) str(key string) string {
	if v := n.get(key); v != nil {
		return v.text
	}
	return ""
}

// plain is the value as encoding/json would decode it, for JSON Schema.
func (n *node) plain() any {
	switch n.kind {
	case mapNode:
		m := make(map[string]any, len(n.keys))
		for i, k := range n.keys {
			m[k.text] = n.items[i].plain()
		}
		return m
	case listNode:
		l := make([]any, len(n.items))
		for i, v := range n.items {
			l[i] = v.plain()
		}
		return l
	}
	return n.value
}

// pointed follows a JSON pointer as far as it leads and names the way in words.
func (n *node) pointed(pointer string) (*node, string) {
	var path strings.Builder
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if n.kind == listNode {
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(n.items) {
				break
			}
			fmt.Fprintf(&path, "[%d]", i)
			n = n.items[i]
			continue
		}
		next := n.get(part)
		if next == nil {
			break
		}
		if path.Len() > 0 {
			path.WriteByte('.')
		}
		path.WriteString(part)
		n = next
	}
	return n, path.String()
}

// parseYAML reads one YAML document.
func parseYAML(file string, data []byte) (*node, error) {
	ps := &problems{file: file}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(file, err)
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		ps.at(&node{line: 1, column: 1}, "", "a mapping starts with `version: 1`", "want one YAML document that is not empty")
		return nil, ps.err()
	}
	n := ps.convert(f.Docs[0].Body, 0)
	return n, ps.err()
}

func yamlError(file string, err error) error {
	p := Problem{File: file, Line: 1, Column: 1, Offset: -1, Message: "not valid YAML"}
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		p.Message = "not valid YAML: " + syntax.Message
		if syntax.Token != nil && syntax.Token.Position != nil {
			p.Line, p.Column = syntax.Token.Position.Line, syntax.Token.Position.Column
		}
	}
	p.Hint = "put expressions that hold `: ` or ` #` between single quotes"
	return &MappingError{Problems: []Problem{p}}
}

// maxDepth bounds nesting, so that a hostile document can't exhaust the stack.
const maxDepth = 50

func (ps *problems) convert(a ast.Node, depth int) *node {
	n := place(a)
	if depth > maxDepth {
		ps.at(n, "", "", "nested more than %d levels deep", maxDepth)
		return n
	}
	switch x := a.(type) {
	case *ast.MappingNode:
		n.kind = mapNode
		ps.addPairs(n, x.Values, depth)
	case *ast.MappingValueNode:
		n.kind = mapNode
		ps.addPairs(n, []*ast.MappingValueNode{x}, depth)
	case *ast.SequenceNode:
		n.kind = listNode
		for _, v := range x.Values {
			n.items = append(n.items, ps.convert(v, depth+1))
		}
	case *ast.LiteralNode:
		n.block = true
		n.text = x.Value.Value
		n.value = n.text
	default:
		ps.scalar(n, a)
	}
	return n
}

func (ps *problems) addPairs(n *node, pairs []*ast.MappingValueNode, depth int) {
	for _, p := range pairs {
		k := place(p.Key)
		ps.scalar(k, p.Key)
		if n.get(k.text) != nil {
			ps.at(k, "", "remove one of them", "key %q stands here twice", k.text)
			continue
		}
		n.keys = append(n.keys, k)
		n.items = append(n.items, ps.convert(p.Value, depth+1))
	}
}

func (ps *problems) scalar(n *node, a ast.Node) {
	switch x := a.(type) {
	case *ast.StringNode:
		n.text, n.value = x.Value, x.Value
	case *ast.BoolNode:
		n.text, n.value = strconv.FormatBool(x.Value), x.Value
	case *ast.IntegerNode:
		n.text = x.Token.Value
		switch v := x.Value.(type) {
		case uint64:
			n.value = int64(v)
		default:
			n.value = v
		}
	case *ast.FloatNode:
		n.text, n.value = x.Token.Value, x.Value
	case *ast.NullNode:
		n.value = nil
	default:
		ps.at(n, "", "write the value out", "anchors, aliases, merges and tags are not read here")
	}
}

func place(a ast.Node) *node {
	n := &node{line: 1, column: 1}
	var t *token.Token
	switch x := a.(type) {
	case *ast.MappingNode:
		if len(x.Values) > 0 && !x.IsFlowStyle {
			return place(x.Values[0].Key)
		}
		t = x.Start
	case *ast.MappingValueNode:
		return place(x.Key)
	default:
		t = a.GetToken()
	}
	if t != nil && t.Position != nil {
		n.line, n.column = t.Position.Line, t.Position.Column
	}
	return n
}
