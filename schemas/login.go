package schemas

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// LowerLogin lower-cases a user name or e-mail address as a target with
// LowerCase stores it: by the full Unicode rules (final sigma, dotted capital
// I), which strings.ToLower does not follow. Compare logins in this form only.
func LowerLogin(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return cases.Lower(language.Und).String(s)
		}
	}
	return strings.ToLower(s)
}
