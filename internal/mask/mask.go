// Package mask makes values of personal data fit to be shown: enough to find
// the row again, too little to learn the value. Secrets are never masked but
// left out altogether.
//
// Start with Value.
package mask

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Value redacts a value for messages: the first character and the length, and
// of an e-mail address the first characters of both parts and the top-level
// domain: j***@e***.com.
func Value(s string) string {
	if local, domain, ok := strings.Cut(s, "@"); ok && local != "" && domain != "" && !strings.Contains(domain, "@") {
		return head(local) + "***@" + maskDomain(domain)
	}
	n := utf8.RuneCountInString(s)
	switch {
	case n == 0:
		return "(empty)"
	case n == 1:
		return "*** (1 character)"
	}
	return fmt.Sprintf("%s*** (%d characters)", head(s), n)
}

func maskDomain(d string) string {
	i := strings.LastIndexByte(d, '.')
	if i <= 0 || i == len(d)-1 || len(d)-i > 12 || !printable(d[i:]) {
		return head(d) + "***"
	}
	return head(d) + "***" + d[i:]
}

// head is the first character, if a reader can see it.
func head(s string) string {
	r, _ := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return ""
	}
	return string(r)
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
