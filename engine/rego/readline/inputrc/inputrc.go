// Package inputrc has what OPA's shell names of a line editor's keys.
package inputrc

// Bind is what a key does.
type Bind struct{ Action string }

// Unescape gives a key sequence back.
func Unescape(sequence string) string { return sequence }
