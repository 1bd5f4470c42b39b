package ctl

import (
	"fmt"
	"io"
	"strconv"
)

// labReport is what programs are told of a lab.
type labReport struct {
	State   string          `json:"state"`   // up, down, planned
	Already bool            `json:"already"` // nothing had to be done
	Dir     string          `json:"dir"`
	Nodes   []labNodeReport `json:"nodes"`
}

// labNodeReport is what programs are told of a node of a lab.
type labNodeReport struct {
	Node           int    `json:"node"`
	State          string `json:"state"`   // up, down, planned
	Already        bool   `json:"already"` // nothing had to be done
	PID            int    `json:"pid,omitempty"`
	HostID         string `json:"host_id,omitempty"`
	Datacenter     string `json:"datacenter"`
	Rack           string `json:"rack"`
	CQLAddress     string `json:"cql_address"`
	StorageAddress string `json:"storage_address"`
	AdminAddress   string `json:"admin_address"`
	Dir            string `json:"dir"`
	Log            string `json:"log"`
}

func (n *upNode) report(state string) labNodeReport {
	return labNodeReport{Node: n.number, State: state, PID: n.process.PID, HostID: n.hostID, Datacenter: n.place.datacenter, Rack: n.place.rack,
		CQLAddress: n.at.cql(), StorageAddress: n.at.storage(), AdminAddress: n.at.admin(), Dir: n.dir, Log: n.logFile()}
}

// showUp tells of the lab as it is, or as it would be.
func (c *command) showUp(l lab, nodes []*upNode, dry bool) error {
	out := labReport{State: "up", Already: true, Dir: l.dir}
	if dry {
		out.State = "planned"
	}
	for _, n := range nodes {
		one := n.report("up")
		switch {
		case n.already:
			one.Already = true
		case n.wanted && dry:
			one.State, one.PID = "planned", 0
		case !n.wanted:
			one.State, one.PID, one.Already = "down", 0, true
		}
		out.Already = out.Already && one.Already
		out.Nodes = append(out.Nodes, one)
	}
	return c.show(out, func(w io.Writer) { c.greet(w, l, out, nodes[0].at) })
}

func (c *command) greet(w io.Writer, l lab, out labReport, first addresses) {
	word := "is up"
	switch {
	case out.State == "planned":
		word = "would be up"
	case out.Already:
		word = "is up already"
	}
	s := "s"
	if len(out.Nodes) == 1 {
		s = ""
	}
	fmt.Fprintf(w, "Helenus %s: %d node%s in %s\n\n", word, len(out.Nodes), s, l.dir)
	rows := [][]string{}
	for _, n := range out.Nodes {
		pid := ""
		if n.PID != 0 {
			pid = strconv.Itoa(n.PID)
		}
		rows = append(rows, []string{strconv.Itoa(n.Node), n.State, n.CQLAddress, n.AdminAddress, n.Datacenter, n.Rack, pid, n.Log})
	}
	writeTable(w, []string{"node", "state", "clients", "operators", "datacenter", "rack", "process", "log"}, rows)
	if out.State == "planned" {
		return
	}
	pointer := ""
	if first.AdminHost != "127.0.0.1" {
		pointer += " -h " + first.AdminHost
	}
	if first.AdminPort != 7199 {
		pointer += fmt.Sprintf(" -p %d", first.AdminPort)
	}
	fmt.Fprintf(w, "\nTry:\n  cqlsh %s %d\n  %[3]s%[4]s status\n  %[3]s%[4]s info\n", first.CQLHost, first.CQLPort, c.env.Name, pointer)
	if last := len(out.Nodes); last > 1 {
		fmt.Fprintf(w, "  %[1]s down --node %[2]d%[3]s    # as kill -9; %[1]s up --node %[2]d%[3]s starts it again\n", c.env.Name, last, l.flag())
	}
	fmt.Fprintf(w, "End it with %s down%s; its data stays in %s.\n", c.env.Name, l.flag(), l.dir)
}
