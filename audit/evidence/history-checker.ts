/** The part of the evidence's program that checks what outsiders saw of the log: that its checkpoint extends each of those. */

export const historyChecker: Readonly<Record<string, string>> = {
  'check/history.go': String.raw`// Whether the checkpoints of this folder are signed, and extend those that witnesses cosigned and authorities stamped.
package main

import (
  "bytes"
  "encoding/base64"
  "errors"
  "fmt"
  "os"
  "path/filepath"
  "strconv"
  "strings"

  "golang.org/x/mod/sumdb/note"
  "golang.org/x/mod/sumdb/tlog"
)

// head is what a checkpoint says (c2sp.org/tlog-checkpoint).
type head struct {
  origin string
  size   int64
  root   tlog.Hash
}

func readHead(text string) (head, error) {
  lines := strings.Split(text, "\n")
  if len(lines) < 3 {
    return head{}, errors.New("no checkpoint")
  }
  size, err := strconv.ParseInt(lines[1], 10, 64)
  if err != nil {
    return head{}, err
  }
  root, err := base64.StdEncoding.DecodeString(lines[2])
  if err != nil || len(root) != tlog.HashSize {
    return head{}, errors.New("no root")
  }
  return head{lines[0], size, tlog.Hash(root)}, nil
}

// checkHistory gives how many files are wrong.
func checkHistory(folder string, verifier note.Verifier) (int, error) {
  wrong := 0
  newest, err := filepath.Glob(filepath.Join(folder, "checkpoints", "*"))
  if err != nil {
    return 0, err
  }
  for _, path := range newest {
    shard := filepath.Base(path)
    if strings.Contains(shard, ".") {
      continue
    }
    checkpoint, err := os.ReadFile(path)
    if err != nil {
      return 0, err
    }
    signed, err := note.Open(checkpoint, note.VerifierList(verifier))
    var said head
    if err == nil {
      said, err = readHead(signed.Text)
    }
    if err != nil {
      fmt.Printf("WRONG  checkpoints/%s: %v\n", shard, err)
      wrong++
      continue
    }
    fmt.Printf("ok     checkpoints/%s  %d leaves of %s\n", shard, said.size, said.origin)
    seen, err := filepath.Glob(filepath.Join(folder, "timestamps", shard, "*.note"))
    if err != nil {
      return 0, err
    }
    if _, err := os.Stat(path + ".witnessed"); err == nil {
      seen = append([]string{path + ".witnessed"}, seen...)
    }
    for _, file := range seen {
      name, _ := filepath.Rel(folder, file)
      switch size, err := extends(file, checkpoint, said); {
      case errors.Is(err, os.ErrNotExist):
        fmt.Printf("unread %s: nothing here shows that the log extends it\n", name)
      case err != nil:
        fmt.Printf("WRONG  %s: %v\n", name, err)
        wrong++
      default:
        fmt.Printf("ok     %s  %d leaves, which the log extends\n", name, size)
      }
    }
  }
  return wrong, nil
}

// extends checks the proof beside an earlier checkpoint: "old <size>", its hashes, and the checkpoint that it leads to, as
// c2sp.org/tlog-witness has them.
func extends(file string, checkpoint []byte, now head) (int64, error) {
  text, err := os.ReadFile(file)
  if err != nil {
    return 0, err
  }
  old, err := readHead(string(text))
  if err != nil {
    return 0, err
  }
  proof, err := os.ReadFile(strings.TrimSuffix(file, filepath.Ext(file)) + ".consistency")
  if err != nil {
    return 0, err
  }
  first, to, found := bytes.Cut(proof, []byte("\n\n"))
  lines := strings.Split(string(first), "\n")
  if !found || lines[0] != fmt.Sprintf("old %d", old.size) || !bytes.Equal(to, checkpoint) {
    return 0, errors.New("the proof beside it is of other checkpoints")
  }
  var path tlog.TreeProof
  for _, line := range lines[1:] {
    hash, err := tlog.ParseHash(line)
    if err != nil {
      return 0, err
    }
    path = append(path, hash)
  }
  if old.size == now.size && old.root == now.root && len(path) == 0 {
    return old.size, nil
  }
  return old.size, tlog.CheckTree(path, now.size, now.root, old.size, old.root)
}
`,
}
