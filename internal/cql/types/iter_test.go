package types

import "testing"

func TestElementsOfLies(t *testing.T) {
	text := VectorOf(Native(Text), 1)
	for name, it := range map[string]Elements{
		"count beyond the bytes":      ListElements([]byte{0, 0, 0, 2, 0, 0, 0, 0}),
		"entries beyond the bytes":    MapElements([]byte{0x40, 0, 0, 1, 0, 0, 0, 0}),
		"part of a count":             ListElements([]byte{0, 0}),
		"length beyond the bytes":     ListElements([]byte{0, 0, 0, 1, 0, 0, 0, 1}),
		"part of a length":            FieldElements([]byte{0, 0}),
		"field beyond the bytes":      FieldElements([]byte{0x7f, 0xff, 0xff, 0xff, 1}),
		"length of 64 bits":           VectorElements(text, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		"part of a vint":              VectorElements(text, []byte{0x80}),
		"element beyond the bytes":    VectorElements(text, []byte{2, 'a'}),
		"fixed element of too little": VectorElements(VectorOf(Native(Int), 1), []byte{0, 0}),
	} {
		if v, ok := it.Next(); ok || !it.Failed() {
			t.Errorf("%s: %x, %v, failed %v", name, v, ok, it.Failed())
		}
	}
}

func TestElementsSayNullAndEmpty(t *testing.T) {
	it := FieldElements([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	null, ok := it.Next()
	if null != nil || !ok {
		t.Errorf("null is %v, %v", null, ok)
	}
	if empty, ok := it.Next(); empty == nil || len(empty) != 0 || !ok {
		t.Errorf("empty is %v, %v", empty, ok)
	}
	if v, ok := it.Next(); ok || it.Failed() {
		t.Errorf("behind the end: %v, failed %v", v, it.Failed())
	}
}
