// Reads a log through the Go checksum database's own libraries, which know nothing of sshnp: go run . VERIFIER-KEY
//
// What it wants of the log it asks for on stdout, and is given on stdin as a line of hex. It verifies
// the checkpoint's signature, every tile up to the root, every entry's inclusion, and the consistency of smaller sizes;
// then it says which size it has read.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

var (
	answers = bufio.NewReaderSize(os.Stdin, 1<<20)
	known   = map[string][]byte{}
)

func get(path string) []byte {
	if body, ok := known[path]; ok {
		return body
	}
	fmt.Printf("GET %d %s\n", len(known)+1, path)
	line, err := answers.ReadString('\n')
	check(err)
	body, err := hex.DecodeString(strings.TrimSuffix(line, "\n"))
	check(err)
	known[path] = body
	return body
}

// pathOf is the path of C2SP tlog-tiles: that of the checksum database without the height.
func pathOf(tile tlog.Tile) string {
	if tile.L == -1 {
		return strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
	}
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

type tiles struct{}

func (tiles) Height() int { return height }

func (tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range wanted {
		data = append(data, get(pathOf(tile)))
	}
	return data, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func main() {
	verifier, err := note.NewVerifier(os.Args[1])
	check(err)
	signed, err := note.Open(get("checkpoint"), note.VerifierList(verifier))
	check(err)
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		fail("not a checkpoint: %q", signed.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	tree := tlog.Tree{N: size, Hash: tlog.Hash(root)}
	hashes := tlog.TileHashReader(tree, tiles{})

	entry := int64(0)
	for _, tile := range tlog.NewTiles(height, 0, size) {
		if tile.L != 0 {
			continue
		}
		tile.L = -1
		for data := get(pathOf(tile)); len(data) > 0; entry++ {
			length := int(binary.BigEndian.Uint16(data))
			proof, err := tlog.ProveRecord(size, entry, hashes)
			check(err)
			check(tlog.CheckRecord(proof, size, tree.Hash, entry, tlog.RecordHash(data[2:2+length])))
			data = data[2+length:]
		}
	}
	if entry != size {
		fail("%d entries of %d", entry, size)
	}
	for older := int64(1); older < size; older += 1 + size/100 {
		hash, err := tlog.TreeHash(older, hashes)
		check(err)
		proof, err := tlog.ProveTree(size, older, hashes)
		check(err)
		check(tlog.CheckTree(proof, size, tree.Hash, older, hash))
	}
	fmt.Println("read", size)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}
