package admin

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"helenus/internal/report"
)

// decode makes the request value of an operation: from the query of a GET,
// from the JSON body of anything else, and from the path.
func decode(op Operation, r *http.Request) (any, error) {
	request := reflect.New(reflect.TypeOf(op.Request))
	var err error
	if r.Method == http.MethodGet {
		err = decodeQuery(request.Elem(), r)
	} else {
		err = decodeBody(request.Interface(), r)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range fields(request.Elem().Type()) {
		if f.inPath {
			request.Elem().Field(f.index).SetString(r.PathValue(f.name))
		}
	}
	return request.Elem().Interface(), nil
}

// field is one field of a request as the wire names it.
type field struct {
	name     string
	index    int
	optional bool
	inPath   bool
}

func fields(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		list = append(list, field{name, i, strings.Contains(options, "omitempty"), f.Tag.Get("in") == "path"})
	}
	return list
}

// decodeBody wants one JSON object with known fields. A body without the JSON
// content type is refused, because a web form can send one across origins.
func decodeBody(into any, r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return report.Errorf(report.Invalid, "want Content-Type: application/json")
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return report.Errorf(report.Invalid, "body: %v", err)
	}
	return nil
}

// decodeQuery fills texts, numbers, booleans and lists of texts.
func decodeQuery(into reflect.Value, r *http.Request) error {
	known := map[string]int{}
	for _, f := range fields(into.Type()) {
		if !f.inPath {
			known[f.name] = f.index
		}
	}
	for name, values := range r.URL.Query() {
		index, ok := known[name]
		if !ok {
			return report.Errorf(report.Invalid, "unknown parameter %q", name)
		}
		target := into.Field(index)
		if target.Kind() == reflect.Slice {
			target.Set(reflect.ValueOf(values))
			continue
		}
		if len(values) != 1 {
			return report.Errorf(report.Invalid, "parameter %q is there %d times", name, len(values))
		}
		if err := setScalar(target, values[0]); err != nil {
			return report.Errorf(report.Invalid, "parameter %q: %v", name, err)
		}
	}
	return nil
}

func setScalar(target reflect.Value, text string) error {
	switch target.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		target.SetBool(b)
		return err
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		target.SetInt(n)
		return err
	default:
		target.SetString(text)
		return nil
	}
}
