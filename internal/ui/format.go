package ui

import (
	"fmt"
	"strconv"
	"time"
)

// Count writes a number with thousands apart: 12,345.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes writes a size with a binary unit and one decimal: 1.4 MiB.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, suffix := float64(n), ""
	for _, s := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		value, suffix = value/unit, s
		if value < unit {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, suffix)
}

// Elapsed writes a time as people say it: 840ms, 12.3s, 4m05s, 2h10m.
func Elapsed(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// Rate writes a number per second: 1,234/s, 3.4/s.
func Rate(n int64, d time.Duration) string {
	if d <= 0 || n <= 0 {
		return "-"
	}
	perSecond := float64(n) / d.Seconds()
	if perSecond < 10 {
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return Count(int64(perSecond+0.5)) + "/s"
}

// Percent writes a share: 12.3%.
func Percent(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}

// About writes a time that is only reckoned: 40 s, 12 min, 2 h 10 min. It rounds
// up.
func About(d time.Duration) string {
	up := func(unit time.Duration) time.Duration { return (d + unit - 1) / unit }
	switch {
	case d <= time.Second:
		return "1 s"
	case d <= 55*time.Second:
		return fmt.Sprintf("%d s", up(time.Second))
	case up(time.Minute) < 60:
		return fmt.Sprintf("%d min", up(time.Minute))
	}
	tens := up(10 * time.Minute)
	return fmt.Sprintf("%d h %d min", tens/6, tens%6*10)
}
