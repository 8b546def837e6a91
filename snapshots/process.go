package snapshots

import (
	"os"
	"strconv"
	"strings"
)

// thisProcess says who runs, well enough to tell later whether it still does.
func thisProcess() Holder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	pid := os.Getpid()
	return Holder{Host: host, PID: pid, Machine: machine(), Started: started(pid)}
}

// machine tells this boot of this machine, and this space of process numbers,
// from all others: containers often share a host name. Empty if the system
// does not say.
func machine() string {
	boot, err1 := os.ReadFile("/proc/sys/kernel/random/boot_id")
	space, err2 := os.Readlink("/proc/self/ns/pid")
	if err1 != nil || err2 != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + space
}

// started is when a process began, in ticks since boot: numbers of processes
// come again. Empty if there is no such process, or the system does not say.
func started(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The name in brackets may hold anything; 20 fields on from its end.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const startTime = 19 // field 22 of proc(5)
	if len(fields) <= startTime || fields[0] == "Z" {
		return ""
	}
	return fields[startTime]
}

// gone reports that the holder's process is known to have ended. When in
// doubt it is not.
func (h Holder) gone() bool {
	return h.Machine != "" && h.Started != "" && h.Machine == machine() && started(h.PID) != h.Started
}
