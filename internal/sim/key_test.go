package sim

import (
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

// TestGossipKey: a cluster whose nodes share a key lets nobody in who has
// another one, or none, and both sides say why.
func TestGossipKey(t *testing.T) {
	const key, other = "AAECAwQFBgcICQoLDA0ODw==\n", "Dw4NDAsKCQgHBgUEAwIBAA=="
	for name, text := range map[string]string{"another key": other, "no key": ""} {
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			synctest.Test(t, func(t *testing.T) {
				s := New(t, 1)
				l := Layout{Nodes: 3, Settings: map[string]string{"gossip_key_file": "gossip.key"}, Files: map[string]string{"gossip.key": key}}
				nodes, err := s.NewCluster(l)
				if err != nil {
					t.Fatal(err)
				}
				stranger := nodes[2]
				nodes = nodes[:2]
				stranger.options.Files = map[string]string{"gossip.key": text}
				if text == "" {
					stranger.cfg.GossipKeyFile = ""
				}
				s.Restart(stranger)
				if err := s.Form(nodes, 2*time.Minute); err != nil {
					t.Fatalf("%v\n%s\n%s", err, tail(nodes[0].Log()), tail(stranger.Log()))
				}
				epoch := nodes[0].State().Epoch
				s.RunFor(30 * time.Second)
				if state := nodes[0].State(); state.Epoch != epoch || len(state.Nodes) != 2 || stranger.State().Founded() {
					t.Errorf("epoch %d, was %d; %d members; the stranger is at epoch %d", state.Epoch, epoch, len(state.Nodes), stranger.State().Epoch)
				}
				for _, log := range []string{stranger.Log(), nodes[0].Log() + nodes[1].Log()} {
					if !strings.Contains(log, "give all nodes the same gossip_key_file") {
						t.Errorf("no reason in\n%s", tail(log))
					}
				}
			})
		})
	}
}
