package contract

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // a legacy scheme
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"

	"golang.org/x/crypto/argon2"
)

// credentials are hashes of the password "pw", made here and nowhere near the servers, as variables of the cases.
var credentials = map[string]string{
	"sha1":      pbkdf2Credential("pbkdf2", sha1.New, 20),
	"sha256":    pbkdf2Credential("pbkdf2-sha256", sha256.New, 32),
	"sha512":    pbkdf2Credential("pbkdf2-sha512", sha512.New, 64),
	"short":     pbkdf2Credential("pbkdf2-sha256", sha256.New, 16),
	"bcrypt":    credential("bcrypt", 10, nil, []byte("0123456789abcdef01234567"), "", nil),
	"argon2id":  argonCredential("id", 64*1024, 4),
	"argon2i":   argonCredential("i", 8*1024, 2),
	"noparams":  `{"type":"password","credentialData":"{}","secretData":"{\"value\":\"AAAA\",\"salt\":\"AAAA\"}"}`,
	"nosecret":  `{"type":"password","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\"}","secretData":"{}"}`,
	"nojson":    `{"type":"password","credentialData":"nojson","secretData":"{\"value\":\"AAAA\",\"salt\":\"AAAA\"}"}`,
	"nojson2":   `{"type":"password","credentialData":"{\"hashIterations\":1,\"algorithm\":\"pbkdf2\"}","secretData":"nojson"}`,
	"unknown":   `{"type":"password","credentialData":"{\"hashIterations\":1,\"unk\":1}","secretData":"{\"value\":\"AAAA\",\"salt\":\"AAAA\"}"}`,
	"emptysalt": `{"type":"password","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\"}","secretData":"{\"value\":\"AAAA\",\"salt\":\"\"}"}`,
	"otp":       `{"type":"otp","userLabel":"phone","secretData":"{\"value\":\"SECRET\"}","credentialData":"{\"subType\":\"totp\",\"digits\":6,\"counter\":0,\"period\":30,\"algorithm\":\"HmacSHA1\"}"}`,
}

const credentialDate = 1710169762684

func pbkdf2Credential(algorithm string, h func() hash.Hash, size int) string {
	salt := []byte("0123456789abcdef")
	value, err := pbkdf2.Key(h, "pw", salt, 1000, size)
	if err != nil {
		panic(err) // constant arguments
	}
	return credential(algorithm, 1000, nil, value, "label", salt)
}

func argonCredential(kind string, memory uint32, threads uint8) string {
	salt := []byte("0123456789abcdef")
	make := argon2.IDKey
	if kind == "i" {
		make = argon2.Key
	}
	return credential("argon2", 2, map[string][]string{
		"type": {kind}, "version": {"1.3"}, "hashLength": {"32"}, "memory": {fmt.Sprint(memory)}, "parallelism": {fmt.Sprint(threads)},
	}, make([]byte("pw"), salt, 2, memory, threads, 32), "", salt)
}

func credential(algorithm string, iterations int, extra map[string][]string, value []byte, label string, salt []byte) string {
	if extra == nil {
		extra = map[string][]string{}
	}
	data, _ := json.Marshal(map[string]any{"hashIterations": iterations, "algorithm": algorithm, "additionalParameters": extra})
	secret, _ := json.Marshal(map[string]any{
		"value": base64.StdEncoding.EncodeToString(value), "salt": base64.StdEncoding.EncodeToString(salt), "additionalParameters": map[string]any{},
	})
	m := map[string]any{"type": "password", "createdDate": credentialDate, "credentialData": string(data), "secretData": string(secret)}
	if label != "" {
		m["userLabel"] = label
	}
	b, _ := json.Marshal(m) // strings and numbers only
	return string(b)
}
