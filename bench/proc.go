package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticks are how /proc counts CPU time, on every Linux that Go runs on.
const ticks = 100

// cpuOf is the CPU time that a process has used.
func cpuOf(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name may hold spaces and parentheses; what follows the last one does not.
	fields := strings.Fields(string(raw)[strings.LastIndexByte(string(raw), ')')+1:])
	var sum int64
	for _, i := range []int{11, 12} { // utime and stime
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// peakOf is the most memory that a process has had resident, in MiB.
func peakOf(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read peak memory: %w", err)
			}
			return float64(kib) / 1024, nil
		}
	}
	return 0, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
}
