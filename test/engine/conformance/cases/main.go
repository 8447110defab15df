// Compiles OPA's own conformance cases, each to a module of its own, with what it expects beside it.
//
// Usage: cases <folder of cases> <folder to write> [every]
//
//	cases parse <file name>
//
// With `every` only each so many-th case is compiled. What is written: cases.ndjson, one case a line, <number>.wasm.gz, and
// <number>.plan.gz, the plan (v1/ir) of the same query, where the case has an input.
// The second form prints the syntax tree of a module that it reads, for rego.parse_module.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/test/cases"
)

// Case is a line of cases.ndjson. Values are text of their own, so that no reader rounds their numbers.
type Case struct {
	Number      int               `json:"number"`
	Folder      string            `json:"folder"`
	Note        string            `json:"note"`
	Env         map[string]string `json:"env,omitempty"`
	Data        string            `json:"data,omitempty"`
	Input       *string           `json:"input,omitempty"` // OPA's value syntax.
	WantResult  *string           `json:"wantResult,omitempty"`
	WantDefined *bool             `json:"wantDefined,omitempty"`
	WantError   *string           `json:"wantError,omitempty"` // Its code.
	Strict      bool              `json:"strict,omitempty"`    // The error is one in strict mode only; else undefined.
	Sort        bool              `json:"sort,omitempty"`
	Uncompiled  string            `json:"uncompiled,omitempty"` // Why there is no module.
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "parse" {
		return parse(args[1])
	}
	if len(args) < 2 {
		return fmt.Errorf("usage: cases <folder of cases> <folder to write> [every]")
	}
	every := 1
	if len(args) > 2 {
		n, err := strconv.Atoi(args[2])
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no number of cases", args[2])
		}
		every = n
	}
	set, err := cases.Load(args[0])
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(args[1], "cases.ndjson"))
	if err != nil {
		return err
	}
	lines := bufio.NewWriter(file)
	encoder := json.NewEncoder(lines)
	encoder.SetEscapeHTML(false)
	for i, tc := range set.Sorted().Cases {
		if i%every != 0 {
			continue
		}
		one, wasm, plan, err := compile(i, tc)
		if err != nil {
			return fmt.Errorf("%s: %w", tc.Note, err)
		}
		if wasm != nil {
			if err := writeGzip(filepath.Join(args[1], fmt.Sprintf("%d.wasm.gz", i)), wasm); err != nil {
				return err
			}
		}
		if plan != nil {
			if err := writeGzip(filepath.Join(args[1], fmt.Sprintf("%d.plan.gz", i)), plan); err != nil {
				return err
			}
		}
		if err := encoder.Encode(one); err != nil {
			return err
		}
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	return file.Close()
}

func compile(number int, tc cases.TestCase) (Case, []byte, []byte, error) {
	one := Case{
		Number:      number,
		Folder:      filepath.Base(filepath.Dir(tc.Filename)),
		Note:        tc.Note,
		Env:         tc.Env,
		WantDefined: tc.WantDefined,
		WantError:   tc.WantErrorCode,
		Strict:      tc.StrictError,
		Sort:        tc.SortBindings,
	}
	if tc.WantErrorCode == nil && tc.WantError != nil {
		unnamed := ""
		one.WantError = &unnamed
	}
	if tc.Data != nil {
		text, err := jsonText(*tc.Data)
		if err != nil {
			return one, nil, nil, err
		}
		one.Data = text
	}
	if tc.InputTerm != nil {
		term, err := ast.ParseTerm(*tc.InputTerm)
		if err != nil {
			return one, nil, nil, err
		}
		text := term.String()
		one.Input = &text
	} else if tc.Input != nil {
		text, err := jsonText(*tc.Input)
		if err != nil {
			return one, nil, nil, err
		}
		one.Input = &text
	}
	if tc.WantResult != nil {
		text, err := jsonText(*tc.WantResult)
		if err != nil {
			return one, nil, nil, err
		}
		one.WantResult = &text
	}

	for name, value := range tc.Env {
		os.Setenv(name, value)
	}
	options := []func(*rego.Rego){
		rego.Query(tc.Query),
		rego.SetRegoVersion(ast.RegoV1),
		rego.Capabilities(ast.CapabilitiesForThisVersion(ast.CapabilitiesExperimentalKeywords(tc.ExperimentalKeywords))),
	}
	for i, module := range tc.Modules {
		options = append(options, rego.Module(fmt.Sprintf("module-%d.rego", i), module))
	}
	result, err := rego.New(options...).Compile(context.Background())
	if err != nil {
		one.Uncompiled = err.Error()
		return one, nil, nil, nil
	}
	if one.Input == nil {
		return one, result.Bytes, nil, nil
	}
	plan, err := planOf(options)
	return one, result.Bytes, plan, err
}

// The planner is internal to OPA, but shows its plans to those who would evaluate them.
type planner struct{ plan []byte }

func (p *planner) IsTarget(target string) bool { return target == "plan" }

func (p *planner) PrepareForEval(_ context.Context, policy *ir.Policy, _ ...rego.PrepareOption) (rego.TargetPluginEval, error) {
	plan, err := json.Marshal(policy)
	p.plan = plan
	return p, err
}

func (p *planner) Eval(context.Context, *rego.EvalContext, ast.Value) (ast.Value, error) {
	return nil, errors.New("plans are not evaluated here")
}

func planOf(options []func(*rego.Rego)) ([]byte, error) {
	p := &planner{}
	rego.ResetTargetPlugins()
	rego.RegisterPlugin("plan", p)
	_, err := rego.New(append(options, rego.Target("plan"))...).PrepareForEval(context.Background())
	return p.plan, err
}

func parse(name string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	module, err := ast.ParseModule(name, string(text))
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(module)
}

func jsonText(value any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return out.String(), err
}

func writeGzip(path string, content []byte) error {
	var out bytes.Buffer
	packer, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := packer.Write(content); err != nil {
		return err
	}
	if err := packer.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}
