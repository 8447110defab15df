// Witnessing as others wrote it, for the tests to compare with: cosignatures and policies of transparency-dev/formats,
// the witness and the client of transparency-dev/witness.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	f_note "github.com/transparency-dev/formats/note"
	f_witness "github.com/transparency-dev/formats/witness"
	client "github.com/transparency-dev/witness/client/http"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	switch os.Args[1] {
	case "cosign": // SKEY < CHECKPOINT: the note with a cosignature line more.
		signer, err := f_note.NewSignerForCosignatureV1(os.Args[2])
		fail(err)
		text, sigs, _ := strings.Cut(stdin(), "\n\n")
		signed, err := note.Sign(&note.Note{Text: text + "\n"}, signer)
		fail(err)
		_, line, _ := strings.Cut(string(signed), "\n\n")
		fmt.Printf("%s\n\n%s%s", text, sigs, line)
	case "verify": // VKEY < NOTE: the time of the cosignature.
		verifier, err := f_note.NewVerifierForCosignatureV1(os.Args[2])
		fail(err)
		opened, err := note.Open([]byte(stdin()), note.VerifierList(verifier))
		fail(err)
		at, err := f_note.CoSigV1Timestamp(opened.Sigs[0])
		fail(err)
		fmt.Println(at.Unix())
	case "policy": // POLICY-FILE < NOTE: whether the note meets the policy.
		text, err := os.ReadFile(os.Args[2])
		fail(err)
		policy, err := f_witness.ParsePolicy(text)
		fail(err)
		fmt.Println(policy.Satisfied([]byte(stdin())))
	case "submit": // URL OLD [PROOF...] < CHECKPOINT: what the witness answers.
		at, err := url.Parse(os.Args[2])
		fail(err)
		old, err := strconv.ParseUint(os.Args[3], 10, 64)
		fail(err)
		var proof [][]byte
		for _, text := range os.Args[4:] {
			hash, err := base64.StdEncoding.DecodeString(text)
			fail(err)
			proof = append(proof, hash)
		}
		lines, size, err := client.NewWitness(at, http.DefaultClient).Update(context.Background(), old, []byte(stdin()), proof)
		switch {
		case err == nil:
			fmt.Print(string(lines))
		case errors.Is(err, witness.ErrCheckpointStale):
			fmt.Printf("stale %d\n", size)
		default:
			fmt.Println(err)
		}
	case "serve": // SKEY ORIGIN VKEY: a witness of that log, until the end of its input.
		serve(os.Args[2], os.Args[3], os.Args[4])
	}
}

func serve(skey, origin, vkey string) {
	signer, err := f_note.NewSignerForCosignatureV1(skey)
	fail(err)
	log, err := note.NewVerifier(vkey)
	fail(err)
	w, err := witness.New(context.Background(), witness.Opts{
		Persistence: inmemory.New(),
		Signers:     []note.Signer{signer},
		VerifierForLog: func(_ context.Context, asked string) (note.Verifier, bool, error) {
			return log, asked == origin, nil
		},
	})
	fail(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	http.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	fmt.Printf("http://%s\n", listener.Addr())
	go func() { fail(http.Serve(listener, nil)) }()
	_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
}

func stdin() string {
	text, err := io.ReadAll(os.Stdin)
	fail(err)
	return string(text)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
