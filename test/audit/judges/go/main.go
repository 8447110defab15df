// Judges of a log that know nothing of Writ: golang.org/x/mod's note and tlog, transparency-dev's merkle and formats, and
// Tessera's fsck. judges URL < CASE prints a line for each; a judge that refuses ends the program.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// What the log says of itself, in its own proofs.
type claims struct {
	Key, Origin string
	// All checkpoints, the oldest first.
	Notes []string
	// Of leaves, in the newest tree.
	Inclusion []struct {
		Index int64
		Leaf  []byte
		Path  [][]byte
	}
	// From each checkpoint to the one after it.
	Consistency [][][]byte
}

const bundleWidth = 256

func main() {
	var c claims
	fail("the claims", json.NewDecoder(os.Stdin).Decode(&c))
	verifier, err := note.NewVerifier(c.Key)
	fail("note", err)

	var trees []tlog.Tree
	for i, text := range c.Notes {
		opened, err := note.Open([]byte(text), note.VerifierList(verifier))
		fail(fmt.Sprintf("note: checkpoint %d", i), err)
		checkpoint, rest, _, err := log.ParseCheckpoint([]byte(text), c.Origin, verifier)
		fail(fmt.Sprintf("formats: checkpoint %d", i), err)
		if len(rest) > 0 || string(checkpoint.Marshal()) != opened.Text {
			fail("formats", fmt.Errorf("checkpoint %d is written otherwise", i))
		}
		trees = append(trees, tlog.Tree{N: int64(checkpoint.Size), Hash: tlog.Hash(checkpoint.Hash)})
	}
	fmt.Printf("golang.org/x/mod/sumdb/note: opens %d checkpoints\n", len(trees))
	fmt.Printf("transparency-dev/formats: parses %d checkpoints, and writes them alike\n", len(trees))

	newest := trees[len(trees)-1]
	files := &files{base: os.Args[1]}
	reader := tlog.TileHashReader(newest, files)
	records := int64(0)
	for first := int64(0); first < newest.N; first += bundleWidth {
		entries, err := files.bundle(first, newest.N)
		fail("tlog", err)
		var indexes []int64
		for i := range entries {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+int64(i)))
		}
		hashes, err := reader.ReadHashes(indexes)
		fail("tlog", err)
		for i, entry := range entries {
			if hashes[i] != tlog.RecordHash(entry) {
				fail("tlog", fmt.Errorf("record %d does not hash to what its tile says", first+int64(i)))
			}
			records++
		}
	}
	if records != newest.N {
		fail("tlog", fmt.Errorf("%d records of %d", records, newest.N))
	}
	for i, path := range c.Consistency {
		old, next := trees[i], trees[i+1]
		var ours tlog.TreeProof
		for _, hash := range path {
			ours = append(ours, tlog.Hash(hash))
		}
		fail(fmt.Sprintf("tlog: from %d to %d", old.N, next.N), tlog.CheckTree(ours, next.N, next.Hash, old.N, old.Hash))
		fail(fmt.Sprintf("merkle: from %d to %d", old.N, next.N), proof.VerifyConsistency(rfc6962.DefaultHasher,
			uint64(old.N), uint64(next.N), path, old.Hash[:], next.Hash[:]))
	}
	for _, one := range c.Inclusion {
		var ours tlog.RecordProof
		for _, hash := range one.Path {
			ours = append(ours, tlog.Hash(hash))
		}
		theirs, err := tlog.ProveRecord(newest.N, one.Index, reader)
		fail("tlog", err)
		if fmt.Sprint(theirs) != fmt.Sprint(ours) {
			fail("tlog", fmt.Errorf("proves record %d otherwise", one.Index))
		}
		fail(fmt.Sprintf("tlog: record %d", one.Index),
			tlog.CheckRecord(ours, newest.N, newest.Hash, one.Index, tlog.RecordHash(one.Leaf)))
		fail(fmt.Sprintf("merkle: record %d", one.Index), proof.VerifyInclusion(rfc6962.DefaultHasher,
			uint64(one.Index), uint64(newest.N), rfc6962.DefaultHasher.HashLeaf(one.Leaf), one.Path, newest.Hash[:]))
	}
	fmt.Printf("golang.org/x/mod/sumdb/tlog: %d records are those of the signed tree by its tiles; %d consistency and %d inclusion proofs hold\n",
		records, len(c.Consistency), len(c.Inclusion))
	fmt.Printf("transparency-dev/merkle: %d consistency and %d inclusion proofs hold\n", len(c.Consistency), len(c.Inclusion))

	base, err := url.Parse(os.Args[1])
	fail("fsck", err)
	fetcher, err := client.NewHTTPFetcher(base, nil)
	fail("fsck", err)
	check := fsck.New(c.Origin, verifier, fetcher, leafHashes, fsck.Opts{N: 2})
	fail("fsck", check.Check(context.Background()))
	fmt.Printf("transparency-dev/tessera/fsck: checked the whole log of %d\n", newest.N)
}

func leafHashes(file []byte) ([][]byte, error) {
	bundle := &api.EntryBundle{}
	if err := bundle.UnmarshalText(file); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, entry := range bundle.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

// The files of the log by HTTP, as C2SP tlog-tiles names them.
type files struct {
	base string
	last map[string][]byte
}

func (f *files) get(path string) ([]byte, error) {
	answer, err := http.Get(f.base + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func (f *files) bundle(first, size int64) ([][]byte, error) {
	tile := tlog.Tile{H: 8, L: -1, N: first / bundleWidth, W: int(min(bundleWidth, size-first))}
	file, err := f.get("tile/entries" + tile.Path()[len("tile/8/data"):])
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(file) > 0 {
		length := int(file[0])<<8 | int(file[1])
		entries = append(entries, bytes.Clone(file[2:2+length]))
		file = file[2+length:]
	}
	return entries, nil
}

func (f *files) Height() int { return 8 }

func (f *files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		path := "tile" + tile.Path()[len("tile/8"):]
		file, known := f.last[path]
		if !known {
			var err error
			if file, err = f.get(path); err != nil {
				return nil, err
			}
		}
		data = append(data, file)
	}
	return data, nil
}

// SaveTiles keeps what was proven, a few tiles of it.
func (f *files) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	if f.last == nil || len(f.last) > 512 {
		f.last = map[string][]byte{}
	}
	for i, tile := range tiles {
		f.last["tile"+tile.Path()[len("tile/8"):]] = data[i]
	}
}

func fail(judge string, err error) {
	if err == nil {
		return
	}
	fmt.Printf("REFUSED  %s: %v\n", judge, err)
	os.Exit(1)
}
