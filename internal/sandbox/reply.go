package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// reply is an answer that has not been sent yet: a change is answered only once it stands in the journal.
type reply struct {
	status   int
	body     any    // nil: none
	location string // "": none; else relative to the request's URL, or absolute
	close    bool   // close the connection afterwards
}

// The four shapes in which the real server words an error.
type (
	plainError struct {
		Error string `json:"error"`
	}
	oauthError struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	messageError struct {
		ErrorMessage string `json:"errorMessage"`
	}
	fieldError struct {
		Field        string `json:"field"`
		ErrorMessage string `json:"errorMessage"`
		Params       []any  `json:"params"`
	}
)

func ok(body any) reply { return reply{status: 200, body: body} }

func noContent() reply { return reply{status: 204} }

func created(location string) reply { return reply{status: 201, location: location} }

func fail(status int, body any) reply { return reply{status: status, body: body} }

func message(status int, text string) reply { return fail(status, messageError{text}) }

func notFound(text string) reply { return fail(404, plainError{text}) }

// unknownError is what the server says when its own code fell over; the reason stands in its log only.
func unknownError() reply {
	return fail(500, oauthError{"unknown_error", "For more on this error consult the server log."})
}

func duplicate() reply { return message(409, "Duplicate resource error") }

func (r reply) ok() bool { return r.status/100 == 2 }

func write(w http.ResponseWriter, r reply) {
	h := w.Header()
	if r.location != "" {
		h.Set("Location", r.location)
	}
	if r.close {
		h.Set("Connection", "close")
	}
	if r.body == nil {
		w.WriteHeader(r.status)
		return
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r.body); err != nil {
		panic("sandbox: an answer that is no JSON: " + err.Error())
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(b.Len()-1))
	w.WriteHeader(r.status)
	w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// segments splits a path and decodes its parts; one slash at the end means nothing.
func segments(path string) ([]string, error) {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil, nil
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		d, err := url.PathUnescape(p)
		if err != nil {
			return nil, err
		}
		parts[i] = d
	}
	return parts, nil
}
