package password

import (
	"encoding/base64"
	"strings"
)

// decodeBase64 reads the standard alphabet with padding or without.
func decodeBase64(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return b, err == nil
}

// decodeAdapted reads passlib's and OpenLDAP's base64: a dot for the plus sign,
// no padding.
func decodeAdapted(s string) ([]byte, bool) {
	return decodeBase64(strings.ReplaceAll(s, ".", "+"))
}
