package gossip

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"helenus/agent/wire"
)

// ParseKey reads the text of a key file: 16, 24 or 32 bytes in base64, white
// space around them. Its errors do not tell the text.
func ParseKey(text []byte) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, errors.New("not base64; want 16, 24 or 32 bytes in base64, as `openssl rand -base64 32` makes them")
	}
	return key, checkKey(key)
}

func checkKey(key []byte) error {
	switch len(key) {
	case 16, 24, 32:
		return nil
	}
	return fmt.Errorf("a key of %d bytes; make it 16, 24 or 32", len(key))
}

// KeyID is what nodes tell of their keys, so that those who could not read each
// other's gossip do not become one cluster.
func KeyID(key []byte) (id wire.KeyID) {
	if len(key) > 0 {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte("helenus gossip key id")) // never fails
		copy(id[:], mac.Sum(nil))
	}
	return id
}
