package admin

import (
	"os"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"

	"helenus/internal/metrics"
)

// HostFacts are facts about the machine: memory, load and the space of the
// volumes that hold the directories. What cannot be read is left out.
func HostFacts(dirs []string) []metrics.Fact {
	memory := func(pick func(*mem.VirtualMemoryStat) uint64) func(func(metrics.Value)) {
		return func(emit func(metrics.Value)) {
			if v, err := mem.VirtualMemory(); err == nil {
				emit(metrics.Value{Number: float64(pick(v))})
			}
		}
	}
	space := func(pick func(*disk.UsageStat) uint64) func(func(metrics.Value)) {
		return func(emit func(metrics.Value)) {
			for _, dir := range dirs {
				if u, err := disk.Usage(dir); err == nil {
					emit(metrics.Value{Labels: []string{dir}, Number: float64(pick(u))})
				}
			}
		}
	}
	gauge := func(name, help string, unit metrics.Unit, read func(func(metrics.Value)), labels ...string) metrics.Fact {
		return metrics.Fact{Name: name, Help: help, Unit: unit, Kind: metrics.GaugeKind, Labels: labels, Read: read}
	}
	return []metrics.Fact{
		gauge("host_memory_total", "Memory of the machine.", metrics.Bytes,
			memory(func(v *mem.VirtualMemoryStat) uint64 { return v.Total })),
		gauge("host_memory_available", "Memory that can be had without swapping.", metrics.Bytes,
			memory(func(v *mem.VirtualMemoryStat) uint64 { return v.Available })),
		gauge("host_load_1m", "Processes running or waiting to, over the last minute.", metrics.None,
			func(emit func(metrics.Value)) {
				if v, err := load.Avg(); err == nil {
					emit(metrics.Value{Number: v.Load1})
				}
			}),
		gauge("host_disk_total", "Size of the volume of a directory.", metrics.Bytes,
			space(func(u *disk.UsageStat) uint64 { return u.Total }), "directory"),
		gauge("host_disk_free", "Space left on the volume of a directory.", metrics.Bytes,
			space(func(u *disk.UsageStat) uint64 { return u.Free }), "directory"),
	}
}

// MemoryBytes is what this process may use: the machine's memory, or its
// container's limit if that is less. 0 when neither can be read.
func MemoryBytes() int64 {
	total := int64(0)
	if v, err := mem.VirtualMemory(); err == nil {
		total = int64(v.Total)
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// No limit is written as "max", or as a number beyond any machine.
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && (total == 0 || n < total) {
			total = n
		}
	}
	return total
}
