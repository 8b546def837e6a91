package files

import "fmt"

// lineBits is how many bits of an origin hold the line.
const lineBits = 40

// Origin is where a row stands, as a batch holds it: the number of its file,
// from 0, and its line, from 1.
func Origin(file, line int) int64 { return int64(file)<<lineBits | int64(line) }

// Describe names the file and line of an origin.
func Describe(origin int64, names []string) string {
	file := origin >> lineBits
	if file < 0 || file >= int64(len(names)) {
		return fmt.Sprintf("origin %d", origin)
	}
	return fmt.Sprintf("%s:%d", names[file], origin&(1<<lineBits-1))
}
