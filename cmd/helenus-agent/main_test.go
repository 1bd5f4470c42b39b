package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mistake on the command line or in the file ends the program at once, with
// its place and a way out.
func TestMistakesEndTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "helenus.yaml")
	if err := os.WriteFile(file, []byte("cluster_name: x\ncomitlog_sync: batch\nnum_tokens: many\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"stray", "--config", file}, []string{`unexpected argument "stray"`}},
		{[]string{"--config", file + ".gone"}, []string{"there is no configuration file", "docs/configuration.md"}},
		{[]string{"--config", file}, []string{file + ":2: unknown setting comitlog_sync; did you mean commitlog_sync?", file + ":3: num_tokens"}},
		{[]string{"--set", "admin_port"}, []string{"want name=value"}},
		{[]string{"--set", "admin_prt=1"}, []string{"unknown setting admin_prt; did you mean admin_port?"}},
	} {
		err := run(t.Context(), tt.args)
		if err == nil {
			t.Fatalf("%v: the agent ran", tt.args)
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: no %q in\n%v", tt.args, want, err)
			}
		}
	}
}

// --check finds mistakes also in the files that the configuration names, and
// opens and writes nothing.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "helenus.yaml"), filepath.Join(dir, "data")
	text := "data_file_directories: [" + data + "]\ncommitlog_directory: " + data + "\ngossip_key_file: gossip.key\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"AAECAwQFBgcICQoLDA0ODw==\n": "",
		"AAECAwQF":                   "agent: gossip_key_file gossip.key: a key of 6 bytes; make it 16, 24 or 32",
		"my secret":                  "agent: gossip_key_file gossip.key: not base64",
	} {
		if err := os.WriteFile(filepath.Join(dir, "gossip.key"), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
		err := run(t.Context(), []string{"--config", file, "--check"})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v, want %q", key, err, want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "gossip.key")); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"--config", file, "--check"}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without the file: %v", err)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("--check made the data folder")
	}
}
