/** The program that checks a report's signature and files without Writ: Go and golang.org/x/mod. */

import { goModule } from '../../evidence/checker.ts'

export const reportChecker: Readonly<Record<string, string>> = {
  'report/main.go': String.raw`// Checks report.note: who signed it (C2SP signed-note), and that each file has the SHA-256 that stands there.
package main

import (
  "crypto/sha256"
  "fmt"
  "os"
  "path/filepath"
  "strings"

  "golang.org/x/mod/sumdb/note"
)

func main() {
  if len(os.Args) != 3 {
    fmt.Fprintln(os.Stderr, "usage: report FOLDER VERIFIER-KEY")
    os.Exit(2)
  }
  folder := os.Args[1]
  verifier, err := note.NewVerifier(strings.TrimSpace(os.Args[2]))
  fail(err)
  signed, err := os.ReadFile(filepath.Join(folder, "report.note"))
  fail(err)
  opened, err := note.Open(signed, note.VerifierList(verifier))
  fail(err)
  lines := strings.Split(strings.TrimSuffix(opened.Text, "\n"), "\n")
  if lines[0] != "writ compliance report v1" {
    fail(fmt.Errorf("not the note of a report"))
  }
  wrong := 0
  for _, line := range lines[1:] {
    sum, path, found := strings.Cut(line, "  ")
    if !found || filepath.IsAbs(path) || strings.Contains(path, "..") {
      fail(fmt.Errorf("%q is no line of a report's note", line))
    }
    content, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(path)))
    if err != nil || fmt.Sprintf("%x", sha256.Sum256(content)) != sum {
      fmt.Printf("WRONG  %s\n", path)
      wrong++
      continue
    }
    fmt.Printf("ok     %s\n", path)
  }
  fmt.Printf("%d of %d files are as %s signed them\n", len(lines)-1-wrong, len(lines)-1, verifier.Name())
  if wrong > 0 {
    os.Exit(1)
  }
}

func fail(err error) {
  if err != nil {
    fmt.Fprintln(os.Stderr, err)
    os.Exit(2)
  }
}
`,
  ...goModule('report'),
  'report/check.sh': `#!/bin/sh
# Checks the report that this folder of evidence lies in. The argument is the verifier key of the report's signer.
[ $# -eq 1 ] || { echo "usage: sh check.sh VERIFIER-KEY" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
cd "$here" && exec go run . ../.. "$1"
`,
}
