// Package readline stands where OPA's interactive shell expects its line editor, which knows no WASI: there is no
// terminal, so there is nothing to edit.
package readline

import (
	"errors"

	"github.com/reeflective/readline/inputrc"
)

// ErrInterrupt is what a line editor answers to an interrupt.
var ErrInterrupt = errors.New("interrupt")

// Completions are what a line could go on with: here nothing.
type Completions struct{}

// CompleteValues takes candidates.
func CompleteValues(...string) Completions { return Completions{} }

// Shell has the members that OPA sets.
type Shell struct {
	Config          Config
	Prompt          Prompt
	History         Histories
	AcceptMultiline func(line []rune) bool
	Completer       func(line []rune, cursor int) Completions
}

// NewShell is never read from: OPA asks for a terminal first.
func NewShell() *Shell { return &Shell{} }

// Readline says that there is nothing to read.
func (*Shell) Readline() (string, error) {
	return "", errors.New("there is no terminal to read from")
}

// Config has no keys bound.
type Config struct {
	Binds map[string]map[string]inputrc.Bind
}

// Set takes a setting.
func (Config) Set(string, any) error { return nil }

// Bind takes a key.
func (Config) Bind(string, string, string, bool) error { return nil }

// Prompt is never shown.
type Prompt struct{}

// Primary takes the prompt.
func (Prompt) Primary(func() string) {}

// Secondary takes the prompt of further lines.
func (Prompt) Secondary(func() string) {}

// Histories keep nothing.
type Histories struct{}

// Add takes a history.
func (Histories) Add(string, any) {}
