// Package badbucket is an S3 server in memory that breaks one promise at a time: what a probe of a bucket must catch.
//
// It knows what a snapshot store asks for (PUT, ranged GET, HEAD, ListObjectsV2) and no signatures. With no Flaws it behaves.
// Start with New.
package badbucket

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Flaws are the promises that are broken.
type Flaws struct {
	IgnoreConditions bool // If-None-Match is not looked at
	Racy             bool // it is, and some time later the object is written
	IgnoreChecksums  bool // damaged bytes are kept
	StaleReads       bool // a key that was asked for before it was written stays unknown for some reads
	StaleLists       bool // the newest object is not listed yet
	Disordered       bool // lists run backwards
	IgnoreStartAfter bool // lists begin at the beginning
	IgnorePages      bool // the second page is the first again
	ForgetfulRanges  bool // a range's bytes are those of the object's beginning
}

// Server is an http.Handler. The zero value with a bucket of any name is ready.
type Server struct {
	Flaws Flaws

	mu      sync.Mutex
	objects map[string]object
	newest  string
	missed  map[string]int // reads of keys that were not there
	headers []http.Header  // of requests, for tests of what is sent
}

type object struct {
	body    []byte
	keyMD5  string // of a customer key
	written time.Time
}

// New returns an empty server.
func New(f Flaws) *Server {
	return &Server{Flaws: f, objects: map[string]object{}, missed: map[string]int{}}
}

// Requests are the headers of all requests so far.
func (s *Server) Requests() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.headers)
}

// ServeHTTP answers path-style requests, /bucket/key.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.headers = append(s.headers, r.Header.Clone())
	s.mu.Unlock()
	_, key, isObject := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case !isObject || key == "":
		s.list(w, r)
	case r.Method == http.MethodPut:
		s.put(w, r, key)
	default:
		s.get(w, r, key)
	}
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>by badbucket</Message></Error>", code)
}

func (s *Server) put(w http.ResponseWriter, r *http.Request, key string) {
	body, err := io.ReadAll(r.Body)
	if err != nil || int64(len(body)) != r.ContentLength {
		fail(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	if !s.Flaws.IgnoreChecksums && !sound(body, r.Header) {
		fail(w, http.StatusBadRequest, "BadDigest")
		return
	}
	if s.taken(key) && r.Header.Get("If-None-Match") == "*" && !s.Flaws.IgnoreConditions {
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	if s.Flaws.Racy {
		time.Sleep(5 * time.Millisecond) // others look as well meanwhile
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.objects[key]; ok && r.Header.Get("If-None-Match") == "*" && !s.Flaws.IgnoreConditions && !s.Flaws.Racy {
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	s.objects[key] = object{body, r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key-Md5"), time.Now()}
	s.newest = key
	w.Header().Set("ETag", etag(body))
}

func (s *Server) taken(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.objects[key]
	return ok
}

// sound compares the body with what the request says of it.
func sound(body []byte, h http.Header) bool {
	sum := sha256.Sum256(body)
	payload, checksum := h.Get("X-Amz-Content-Sha256"), h.Get("X-Amz-Checksum-Sha256")
	return (payload == "" || payload == hex.EncodeToString(sum[:])) && (checksum == "" || checksum == base64.StdEncoding.EncodeToString(sum[:]))
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// staleFor is for how many reads a key stays unknown.
const staleFor = 3

func (s *Server) lookup(key string) (object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		s.missed[key] = staleFor
	}
	if ok && s.Flaws.StaleReads && s.missed[key] > 0 {
		s.missed[key]--
		return object{}, false
	}
	return o, ok
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, key string) {
	o, ok := s.lookup(key)
	switch {
	case !ok:
		fail(w, http.StatusNotFound, "NoSuchKey")
		return
	case o.keyMD5 != r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Key-Md5"):
		fail(w, http.StatusBadRequest, "InvalidRequest")
		return
	case r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != etag(o.body):
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	w.Header().Set("ETag", etag(o.body))
	var from, to int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n != 2 {
		w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
		_, _ = io.Copy(w, bytes.NewReader(o.body))
		return
	}
	if from >= len(o.body) {
		fail(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
		return
	}
	to = min(to, len(o.body)-1)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(o.body)))
	body := o.body[from : to+1]
	if s.Flaws.ForgetfulRanges {
		body = o.body[:to+1-from]
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(body)
}

type listed struct {
	Key  string
	Size int
}

type listing struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listed
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after := q.Get("start-after")
	if s.Flaws.IgnoreStartAfter {
		after = ""
	}
	if token := q.Get("continuation-token"); token != "" && !s.Flaws.IgnorePages {
		after = token
	}
	most, err := strconv.Atoi(cmp.Or(q.Get("max-keys"), "1000"))
	if err != nil {
		fail(w, http.StatusBadRequest, "InvalidArgument")
		return
	}
	var out listing
	for _, key := range s.keys() {
		if !strings.HasPrefix(key, q.Get("prefix")) || key <= after {
			continue
		}
		if len(out.Contents) == most {
			out.IsTruncated, out.NextContinuationToken = true, out.Contents[most-1].Key
			break
		}
		out.Contents = append(out.Contents, listed{Key: key})
	}
	if s.Flaws.Disordered {
		slices.Reverse(out.Contents)
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(out)
}

func (s *Server) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := slices.Sorted(maps.Keys(s.objects))
	if s.Flaws.StaleLists {
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == s.newest })
	}
	return keys
}
