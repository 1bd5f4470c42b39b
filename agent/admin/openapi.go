package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"helenus/internal/report"
)

// object is a piece of a JSON document.
type object map[string]any

// openAPI renders the table of operations as an OpenAPI 3.1 document.
func openAPI(release string, ops []Operation) ([]byte, error) {
	schemas := object{}
	paths := map[string]object{}
	for _, op := range ops {
		path := prefix + op.Path
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path][strings.ToLower(op.Method)] = describe(op, schemas)
	}
	schemaOf(reflect.TypeOf(report.Error{}), schemas)
	text, err := json.MarshalIndent(object{
		"openapi":    "3.1.0",
		"info":       object{"title": "Helenus admin API", "version": release},
		"paths":      paths,
		"components": object{"schemas": schemas},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("admin: render the OpenAPI document: %w", err)
	}
	return append(text, '\n'), nil
}

func describe(op Operation, schemas object) object {
	code := "200"
	if op.Job != nil {
		code = "202"
	}
	d := object{
		"operationId": op.Name,
		"summary":     op.Summary,
		"responses": object{
			code: object{"description": "Done.", "content": content(reflect.TypeOf(op.Response), schemas)},
			"default": object{"description": "It failed.", "content": object{"application/json": object{"schema": object{
				"type": "object", "properties": object{"error": object{"$ref": "#/components/schemas/Error"}},
			}}}},
		},
	}
	request := reflect.TypeOf(op.Request)
	var parameters []object
	body := false
	for _, f := range fields(request) {
		in := "query"
		if f.inPath {
			in = "path"
		} else if op.Method != http.MethodGet {
			body = true
			continue
		}
		parameters = append(parameters, object{"name": f.name, "in": in, "required": !f.optional,
			"schema": schemaOf(request.Field(f.index).Type, schemas)})
	}
	if len(parameters) > 0 {
		d["parameters"] = parameters
	}
	if body {
		d["requestBody"] = object{"content": content(request, schemas)}
	}
	return d
}

func content(t reflect.Type, schemas object) object {
	return object{"application/json": object{"schema": schemaOf(t, schemas)}}
}

// schemaOf describes a type; structs go into schemas by name and are referred to.
func schemaOf(t reflect.Type, schemas object) object {
	if t == reflect.TypeOf(time.Time{}) {
		return object{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []object{schemaOf(t.Elem(), schemas), {"type": "null"}}}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem(), schemas)}
	case reflect.Struct:
		return structSchema(t, schemas)
	}
	return object{"type": "string"}
}

func structSchema(t reflect.Type, schemas object) object {
	ref := object{"$ref": "#/components/schemas/" + t.Name()}
	if _, known := schemas[t.Name()]; known {
		return ref
	}
	properties := object{}
	schema := object{"type": "object", "properties": properties}
	schemas[t.Name()] = schema
	var required []string
	for _, f := range fields(t) {
		properties[f.name] = schemaOf(t.Field(f.index).Type, schemas)
		if !f.optional {
			required = append(required, f.name)
		}
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	return ref
}
