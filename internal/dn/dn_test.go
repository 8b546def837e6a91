package dn

import (
	"errors"
	"testing"
)

func TestNormalize(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "uid=fry,ou=people,dc=example", "uid=fry,ou=people,dc=example"},
		{"case and spaces", " UID = Fry , OU=People,  dc=Example ", "uid=fry,ou=people,dc=example"},
		{"escaped comma", `cn=Weber\, Anna,dc=x`, `cn=weber\, anna,dc=x`},
		{"escaped comma as hex", `cn=Weber\2c Anna,dc=x`, `cn=weber\, anna,dc=x`},
		{"quoted", `cn="Weber, Anna",dc=x`, `cn=weber\, anna,dc=x`},
		{"several values in other order", `sn=Kroker+cn=Amy,dc=x`, `cn=amy+sn=kroker,dc=x`},
		{"hex of UTF-8", `cn=M\c3\bcller`, `cn=müller`},
		{"decomposed", "cn=Mu\u0308ller", "cn=müller"},
		{"inner spaces", "cn=Anna   Weber", "cn=anna weber"},
		{"escaped plus and equals", `cn=a\+b\=c`, `cn=a\+b\=c`},
		{"bare equals in value", `cn=a=b`, `cn=a\=b`},
		{"empty value", `cn=,dc=x`, `cn=,dc=x`},
		{"bytes that are no text", `cn=\ff\00`, `cn=\ff\00`},
		{"root", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Normalize(tt.in)
			if err != nil || got != tt.want {
				t.Fatalf("got %q, %v, want %q", got, err, tt.want)
			}
			again, err := Normalize(got)
			if err != nil || again != got {
				t.Fatalf("normal form of %q is %q, %v: not its own", got, again, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{"fry", "=fry", "cn=a,", "cn=a,,dc=x", `cn=a\`, `cn=a\q`, `cn="a`, `cn="a"b`, "cn=a;dc=x", "cn=a+", "c n=a"} {
		if d, err := Parse(in); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%q) = %v, %v: want a syntax error", in, d, err)
		}
	}
}

func TestBelow(t *testing.T) {
	parse := func(s string) DN {
		d, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := parse("uid=fry,OU=People,dc=example")
	for suffix, want := range map[string]bool{
		"ou=people, dc=Example": true, "dc=example": true, "": true, "uid=fry,ou=people,dc=example": true,
		"ou=people": false, "dc=ample": false, "ou=x,uid=fry,ou=people,dc=example": false,
	} {
		if got := d.Below(parse(suffix)); got != want {
			t.Errorf("below %q: got %v, want %v", suffix, got, want)
		}
	}
}

// What parses is written again in a form that parses to the same name.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"uid=fry,ou=people,dc=example", `cn=Weber\, Anna+sn=\#x`, `cn="a,b" , dc=x`, `cn=\ff\ `} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(d.String())
		if err != nil {
			t.Fatalf("%q was written as %q, which does not parse: %v", s, d.String(), err)
		}
		if again.Normal() != d.Normal() {
			t.Fatalf("%q was written as %q, another name: %q, %q", s, d.String(), d.Normal(), again.Normal())
		}
		if n, err := Normalize(d.Normal()); err != nil || n != d.Normal() {
			t.Fatalf("normal form %q of %q is not its own: %q, %v", d.Normal(), s, n, err)
		}
	})
}
