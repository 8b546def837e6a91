package parts

// SecondMemory is about what a second reader may take beside its limit.
const SecondMemory = 512 << 20

// SecondError says what a second reader made of a part that ours can read.
type SecondError struct {
	// Differs: it read other cells. Else it failed.
	Differs bool
	What    string
}

func (e *SecondError) Error() string { return "second reader: " + e.What }
