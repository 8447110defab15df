/** The program that checks evidence without Writ: Go and golang.org/x/mod, written into each evidence folder. */

import { historyChecker } from './history-checker.ts'

/** Go's files of a program that stands on golang.org/x/mod alone, in the folder of its name. */
export const goModule = (name: string): Readonly<Record<string, string>> => ({
  [`${name}/go.mod`]: `module ${name}

go 1.24.0

require golang.org/x/mod v0.29.0
`,
  [`${name}/go.sum`]: `golang.org/x/mod v0.29.0 h1:HV8lRxZC4l2cr3Zq1LvtOsi/ThTgWnUk/y64QSs8GwA=
golang.org/x/mod v0.29.0/go.mod h1:NyhrlYXJ2H4eJiRy/WDBO6HMqZQ6q9nk4JzS3NuCK+w=
`,
})

export const checker: Readonly<Record<string, string>> = {
  ...historyChecker,
  'check/main.go': String.raw`// Checks the records of this folder against the signed checkpoint in each proof. It stands on golang.org/x/mod alone.
package main

import (
  "bytes"
  "encoding/base64"
  "encoding/json"
  "fmt"
  "os"
  "path/filepath"
  "sort"
  "strconv"
  "strings"

  "golang.org/x/mod/sumdb/note"
  "golang.org/x/mod/sumdb/tlog"
)

func main() {
  if len(os.Args) < 2 || len(os.Args) > 4 {
    fmt.Fprintln(os.Stderr, "usage: check FOLDER [VERIFIER-KEY [POLICY-FILE]]")
    os.Exit(2)
  }
  folder := os.Args[1]
  key, err := os.ReadFile(filepath.Join(folder, "log.pub"))
  if len(os.Args) > 2 {
    key, err = []byte(os.Args[2]), nil
  }
  fail(err)
  verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
  fail(err)
  witnesses, err := readPolicy(filepath.Join(folder, "witness.policy"), os.Args[min(3, len(os.Args)):])
  fail(err)
  proofs, err := filepath.Glob(filepath.Join(folder, "records", "*.tlog-proof"))
  fail(err)
  records, err := filepath.Glob(filepath.Join(folder, "records", "*.json"))
  fail(err)
  strange, err := checkHistory(folder, verifier)
  fail(err)
  wrong := 0
  if len(records) != len(proofs) || len(proofs) == 0 {
    fmt.Printf("WRONG  %d records and %d proofs\n", len(records), len(proofs))
    wrong++
  }
  for _, proof := range proofs {
    id := strings.TrimSuffix(filepath.Base(proof), ".tlog-proof")
    if said, err := check(folder, id, verifier, witnesses); err != nil {
      fmt.Printf("WRONG  %s: %v\n", id, err)
      wrong++
    } else {
      fmt.Printf("ok     %s  %s\n", id, said)
    }
  }
  fmt.Printf("%d of %d records are in the log of %s\n", len(proofs)-min(wrong, len(proofs)), len(proofs), verifier.Name())
  if wrong+strange > 0 {
    os.Exit(1)
  }
}

// check follows c2sp.org/tlog-proof: a line of its name, perhaps one of extra data, the index, the path, the checkpoint.
func check(folder, id string, verifier note.Verifier, witnesses *policy) (string, error) {
  leaf, err := os.ReadFile(filepath.Join(folder, "records", id+".json"))
  if err != nil {
    return "", err
  }
  var record struct {
    Epoch          string
    Seq            uint64
    Sealed         map[string]string
    Erased, Masked []string
  }
  if err := json.Unmarshal(leaf, &record); err != nil {
    return "", err
  }
  if named := fmt.Sprintf("%s-%d", record.Epoch, record.Seq); named != id {
    return "", fmt.Errorf("the record is %s", named)
  }
  hidden, err := withheld(record.Sealed, append(record.Erased, record.Masked...))
  if err != nil {
    return "", err
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
  said, err := readHead(signed.Text)
  if err != nil {
    return "", err
  }
  if err := tlog.CheckRecord(path, said.size, said.root, index, tlog.RecordHash(leaf)); err != nil {
    return "", err
  }
  seen, err := witnesses.judge(checkpoint)
  if err != nil {
    return "", err
  }
  return fmt.Sprintf("leaf %d of %s, checkpoint over %d%s%s", index, said.origin, said.size, seen, hidden), nil
}

// withheld names what stands in a record as a digest alone (SHA-256 of an RFC 9901 disclosure), or was masked. The leaf has
// the digest, so that the proof holds without what it is of.
func withheld(sealed map[string]string, masked []string) (string, error) {
  names := masked
  for name, digest := range sealed {
    if sum, err := base64.RawURLEncoding.DecodeString(digest); err != nil || len(sum) != 32 {
      return "", fmt.Errorf("%s is sealed by %q, which is no digest", name, digest)
    }
    names = append(names, name)
  }
  if len(names) == 0 {
    return "", nil
  }
  sort.Strings(names)
  return ", withheld: " + strings.Join(names, ", "), nil
}

func fail(err error) {
  if err != nil {
    fmt.Fprintln(os.Stderr, err)
    os.Exit(2)
  }
}
`,
  'check/witness.go': String.raw`// Whose cosignatures a checkpoint has (c2sp.org/tlog-cosignature), and whether they are enough (c2sp.org/tlog-policy).
package main

import (
  "crypto/ed25519"
  "crypto/sha256"
  "encoding/base64"
  "encoding/binary"
  "errors"
  "fmt"
  "os"
  "strconv"
  "strings"

  "golang.org/x/mod/sumdb/note"
)

// cosigner verifies Ed25519 cosignatures: a time in eight bytes, and a signature over it and the checkpoint.
type cosigner struct {
  name string
  id   uint32
  key  ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.id }
func (c cosigner) Verify(text, sig []byte) bool {
  if len(sig) != 8+ed25519.SignatureSize {
    return false
  }
  head := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(sig))
  return ed25519.Verify(c.key, append([]byte(head), text...), sig[8:])
}

type policy struct {
  verifiers []note.Verifier
  // met says whether a name is among those who cosigned, or a group that has enough of them.
  met      map[string]func(by map[string]bool) bool
  names    map[string]string
  quorum   string
  required bool
}

// readPolicy reads the policy that was given, which then is required, or else the folder's own.
func readPolicy(own string, given []string) (*policy, error) {
  p := &policy{met: map[string]func(map[string]bool) bool{}, names: map[string]string{}, quorum: "none"}
  file := own
  if len(given) > 0 {
    file, p.required = given[0], true
  }
  text, err := os.ReadFile(file)
  if errors.Is(err, os.ErrNotExist) && !p.required {
    return p, nil
  }
  if err != nil {
    return nil, err
  }
  p.quorum = ""
  for _, line := range strings.Split(string(text), "\n") {
    words := strings.Fields(line)
    if len(words) == 0 || strings.HasPrefix(words[0], "#") {
      continue
    }
    if err := p.take(words); err != nil {
      return nil, fmt.Errorf("%s: %q: %w", file, line, err)
    }
  }
  if p.quorum == "" {
    return nil, fmt.Errorf("%s: no quorum", file)
  }
  return p, nil
}

func (p *policy) take(words []string) error {
  switch {
  case words[0] == "log":
    return nil // The key of the log is the first argument.
  case words[0] == "witness" && len(words) >= 3:
    name, rest, _ := strings.Cut(words[2], "+")
    _, encoded, _ := strings.Cut(rest, "+")
    key, err := base64.StdEncoding.DecodeString(encoded)
    if err != nil || len(key) == 0 {
      return errors.New("no key")
    }
    p.met[words[1]] = func(by map[string]bool) bool { return by[words[1]] }
    if key[0] != 4 || len(key) != 1+ed25519.PublicKeySize {
      return nil // Another kind of signature, which is not counted here.
    }
    sum := sha256.Sum256(append([]byte(name+"\n"), key...))
    c := cosigner{name, binary.BigEndian.Uint32(sum[:]), ed25519.PublicKey(key[1:])}
    p.verifiers = append(p.verifiers, c)
    p.names[fmt.Sprintf("%s+%08x", c.name, c.id)] = words[1]
    return nil
  case words[0] == "group" && len(words) >= 4:
    members := words[3:]
    least, err := strconv.Atoi(words[2])
    switch words[2] {
    case "any":
      least, err = 1, nil
    case "all":
      least, err = len(members), nil
    }
    if err != nil || least < 1 || least > len(members) {
      return errors.New("no threshold")
    }
    for _, member := range members {
      if p.met[member] == nil {
        return errors.New("unknown member")
      }
    }
    p.met[words[1]] = func(by map[string]bool) bool {
      count := 0
      for _, member := range members {
        if p.met[member](by) {
          count++
        }
      }
      return count >= least
    }
    return nil
  case words[0] == "quorum" && len(words) == 2 && p.quorum == "" && (words[1] == "none" || p.met[words[1]] != nil):
    p.quorum = words[1]
    return nil
  }
  return errors.New("not a line of a policy")
}

// judge says who cosigned. A quorum that was asked for and is not there is an error.
func (p *policy) judge(checkpoint []byte) (string, error) {
  if p.quorum == "none" {
    return "", nil
  }
  by := map[string]bool{}
  said := []string{}
  signed, err := note.Open(checkpoint, note.VerifierList(p.verifiers...))
  var nobody *note.UnverifiedNoteError
  if err != nil && !errors.As(err, &nobody) {
    return "", err
  }
  if err == nil {
    for _, sig := range signed.Sigs {
      name := p.names[fmt.Sprintf("%s+%08x", sig.Name, sig.Hash)]
      by[name] = true
      said = append(said, sig.Name)
    }
  }
  if !p.met[p.quorum](by) {
    if p.required {
      return "", errors.New("its checkpoint lacks the quorum of witnesses")
    }
    return ", NOT WITNESSED", nil
  }
  return ", witnessed by " + strings.Join(said, " "), nil
}
`,
  ...goModule('check'),
  'check.sh': `#!/bin/sh
# Checks every record here against the signed checkpoint in its proof. Give the log's verifier key, from somebody you
# trust, as the argument: the one in log.pub only shows that key and records belong together.
# A policy of witnesses (c2sp.org/tlog-policy) may follow; then each checkpoint must have its quorum.
policy=
late=0
[ $# -lt 2 ] || policy=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
here=$(cd "$(dirname "$0")" && pwd)
for stamp in "$here"/timestamps/*/*.tsr; do
  [ -e "$stamp" ] || continue
  if [ -z "$TSA_CA" ]; then
    echo "unread timestamps: name the authority's certificate in TSA_CA to have openssl verify them"
    break
  fi
  if openssl ts -verify -data "\${stamp%.tsr}.note" -in "$stamp" -CAfile "$TSA_CA" >/dev/null 2>&1; then
    echo "ok     timestamps\${stamp#"$here"/timestamps}  $(openssl ts -reply -in "$stamp" -text 2>/dev/null | grep 'Time stamp:')"
  else
    echo "WRONG  timestamps\${stamp#"$here"/timestamps}"
    late=1
  fi
done
cd "$here/check" || exit 2
if [ $# -lt 2 ]; then go run . .. "$@"; else go run . .. "$1" "$policy"; fi || exit
exit $late
`,
}
