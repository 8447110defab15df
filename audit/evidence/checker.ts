/** The program that checks evidence without Writ: Go and golang.org/x/mod, written into each evidence folder. */

export const checker: Readonly<Record<string, string>> = {
  'check/main.go': String.raw`// Checks the records of this folder against the signed checkpoint in each proof. It stands on golang.org/x/mod alone.
package main

import (
  "bytes"
  "encoding/base64"
  "encoding/json"
  "fmt"
  "os"
  "path/filepath"
  "strconv"
  "strings"

  "golang.org/x/mod/sumdb/note"
  "golang.org/x/mod/sumdb/tlog"
)

func main() {
  if len(os.Args) < 2 || len(os.Args) > 3 {
    fmt.Fprintln(os.Stderr, "usage: check FOLDER [VERIFIER-KEY]")
    os.Exit(2)
  }
  folder := os.Args[1]
  key, err := os.ReadFile(filepath.Join(folder, "log.pub"))
  if len(os.Args) == 3 {
    key, err = []byte(os.Args[2]), nil
  }
  fail(err)
  verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
  fail(err)
  proofs, err := filepath.Glob(filepath.Join(folder, "records", "*.tlog-proof"))
  fail(err)
  records, err := filepath.Glob(filepath.Join(folder, "records", "*.json"))
  fail(err)
  wrong := 0
  if len(records) != len(proofs) || len(proofs) == 0 {
    fmt.Printf("WRONG  %d records and %d proofs\n", len(records), len(proofs))
    wrong++
  }
  for _, proof := range proofs {
    id := strings.TrimSuffix(filepath.Base(proof), ".tlog-proof")
    if said, err := check(folder, id, verifier); err != nil {
      fmt.Printf("WRONG  %s: %v\n", id, err)
      wrong++
    } else {
      fmt.Printf("ok     %s  %s\n", id, said)
    }
  }
  fmt.Printf("%d of %d records are in the log of %s\n", len(proofs)-min(wrong, len(proofs)), len(proofs), verifier.Name())
  if wrong > 0 {
    os.Exit(1)
  }
}

// check follows c2sp.org/tlog-proof: a line of its name, perhaps one of extra data, the index, the path, the checkpoint.
func check(folder, id string, verifier note.Verifier) (string, error) {
  leaf, err := os.ReadFile(filepath.Join(folder, "records", id+".json"))
  if err != nil {
    return "", err
  }
  var record struct {
    Epoch string
    Seq   uint64
  }
  if err := json.Unmarshal(leaf, &record); err != nil {
    return "", err
  }
  if named := fmt.Sprintf("%s-%d", record.Epoch, record.Seq); named != id {
    return "", fmt.Errorf("the record is %s", named)
  }
  proof, err := os.ReadFile(filepath.Join(folder, "records", id+".tlog-proof"))
  if err != nil {
    return "", err
  }
  head, checkpoint, found := bytes.Cut(proof, []byte("\n\n"))
  lines := strings.Split(string(head), "\n")
  if !found || lines[0] != "c2sp.org/tlog-proof@v1" {
    return "", fmt.Errorf("no tlog-proof")
  }
  lines = lines[1:]
  if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
    lines = lines[1:]
  }
  if len(lines) == 0 {
    return "", fmt.Errorf("no index")
  }
  index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
  if err != nil {
    return "", err
  }
  var path tlog.RecordProof
  for _, line := range lines[1:] {
    hash, err := tlog.ParseHash(line)
    if err != nil {
      return "", err
    }
    path = append(path, hash)
  }
  signed, err := note.Open(checkpoint, note.VerifierList(verifier))
  if err != nil {
    return "", err
  }
  said := strings.Split(signed.Text, "\n") // origin, size, root (c2sp.org/tlog-checkpoint)
  if len(said) < 3 {
    return "", fmt.Errorf("no checkpoint")
  }
  size, err := strconv.ParseInt(said[1], 10, 64)
  if err != nil {
    return "", err
  }
  root, err := base64.StdEncoding.DecodeString(said[2])
  if err != nil || len(root) != tlog.HashSize {
    return "", fmt.Errorf("no root")
  }
  if err := tlog.CheckRecord(path, size, tlog.Hash(root), index, tlog.RecordHash(leaf)); err != nil {
    return "", err
  }
  return fmt.Sprintf("leaf %d of %s, checkpoint over %d", index, said[0], size), nil
}

func fail(err error) {
  if err != nil {
    fmt.Fprintln(os.Stderr, err)
    os.Exit(2)
  }
}
`,
  'check/go.mod': `module check

go 1.24.0

require golang.org/x/mod v0.29.0
`,
  'check/go.sum': `golang.org/x/mod v0.29.0 h1:HV8lRxZC4l2cr3Zq1LvtOsi/ThTgWnUk/y64QSs8GwA=
golang.org/x/mod v0.29.0/go.mod h1:NyhrlYXJ2H4eJiRy/WDBO6HMqZQ6q9nk4JzS3NuCK+w=
`,
  'check.sh': `#!/bin/sh
# Checks every record here against the signed checkpoint in its proof. Give the log's verifier key, from somebody you
# trust, as the argument: the one in log.pub only shows that key and records belong together.
cd "$(dirname "$0")/check" && exec go run . .. "$@"
`,
}
