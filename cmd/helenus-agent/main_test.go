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
