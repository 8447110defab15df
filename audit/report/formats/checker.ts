/** The program that checks a report's signature and files without Writ: Go and golang.org/x/mod. */

import { goModule } from '../../evidence/checker.ts'

export const reportChecker: Readonly<Record<string, string>> = {
  'report/main.go': String.raw`// Checks report.note: who signed it (C2SP signed-note), and that each file has the SHA-256 that stands there, or
// in the list evidence/SHA256SUMS, which is signed with them.
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
  first, lines, _ := strings.Cut(opened.Text, "\n")
  if first != "writ compliance report v1" {
    fail(fmt.Errorf("not the note of a report"))
  }
  right, all := check(folder, "", lines)
  fmt.Printf("%d of %d files are as %s signed them\n", right, all, verifier.Name())
  if right < all {
    os.Exit(1)
  }
}

// sums is signed as a file, and is a list of files itself.
const sums = "evidence/SHA256SUMS"

// check compares the files that lines name, below a folder of the report, and gives how many are right and how many there are.
func check(folder, below, lines string) (right, all int) {
  for _, line := range strings.Split(strings.TrimSuffix(lines, "\n"), "\n") {
    sum, path, found := strings.Cut(line, "  ")
    if !found || filepath.IsAbs(path) || strings.Contains(path, "..") {
      fail(fmt.Errorf("%q is no line of a report's note", line))
    }
    all++
    name := below + path
    content, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
    if err != nil || fmt.Sprintf("%x", sha256.Sum256(content)) != sum {
      fmt.Printf("WRONG  %s\n", name)
      continue
    }
    right++
    fmt.Printf("ok     %s\n", name)
    if name == sums {
      more, of := check(folder, "evidence/", string(content))
      right, all = right+more, all+of
    }
  }
  return right, all
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
# Checks the report that this folder of evidence lies in, and each file of the evidence, by the verifier key of the
# report's signer. With the log's key, and perhaps a policy of witnesses, it goes on with what the evidence proves.
[ $# -ge 1 ] && [ $# -le 3 ] || { echo "usage: sh check.sh REPORT-KEY [LOG-KEY [POLICY-FILE]]" >&2; exit 2; }
policy=
[ $# -lt 3 ] || policy=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
here=$(cd "$(dirname "$0")" && pwd)
cd "$here" || exit 2
go run . ../.. "$1" || exit
[ $# -gt 1 ] || exit 0
if [ $# -lt 3 ]; then exec sh ../check.sh "$2"; else exec sh ../check.sh "$2" "$policy"; fi
`,
}
