import assert from "node:assert/strict";
import { changesAgainst, filesProblem, listingAfter } from "./commit.ts";
import { blobId, parseTree, pathProblem } from "./tree.ts";

const A = "a".repeat(40);

Deno.test("listings parse with any path", () => {
  const text =
    `100644 blob ${A}      12\tjobs/a "b"\n\té.yaml\x00160000 commit ${A}       -\tsub\0`;
  assert.deepEqual(parseTree(new TextEncoder().encode(text)), [
    { mode: "100644", oid: A, size: 12, path: 'jobs/a "b"\n\té.yaml' },
    { mode: "160000", oid: A, size: 0, path: "sub" },
  ]);
  assert.deepEqual(parseTree(new Uint8Array()), []);
  assert.throws(() => parseTree(new TextEncoder().encode(`100644 blob ${A} 12\tcut`)), /cut off/);
  assert.throws(() => parseTree(new TextEncoder().encode("nonsense\0")), /unknown form/);
});

Deno.test("blob ids are git's", () => {
  assert.equal(blobId(""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  assert.equal(blobId("hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
  assert.equal(blobId("é😀\n"), "f62aa8c3de31d2bf893dacf9688a76303947ccc7");
});

Deno.test("paths that leave their folder or reach into .git are problems", () => {
  for (const path of ["", "/a", "a/", "a//b", "../a", "a/./b", ".git/config", "a/.GIT/x", "a\0b"]) {
    assert.notEqual(pathProblem(path), undefined, JSON.stringify(path));
  }
  for (const path of ["a", "a/b.yaml", "a\nb", ".gitignore", "..."]) {
    assert.equal(pathProblem(path), undefined, JSON.stringify(path));
  }
  assert.match(filesProblem(new Map([["a", "1"], ["a/b", "2"]])) ?? "", /is a file as well/);
  assert.equal(filesProblem(new Map([["a", "1"], ["ab", "2"]])), undefined);
});

Deno.test("changes are what differs in text or mode", () => {
  const entry = (path: string, text: string, mode = "100644") => ({
    mode,
    oid: blobId(text),
    size: text.length,
    path,
  });
  const base = [
    entry("gone", "x"),
    entry("link", "same", "120000"),
    entry("new", "old"),
    entry("same", "same"),
  ];
  const files = new Map([["same", "same"], ["new", "new"], ["link", "same"]]);
  const idOf = (_: string, text: string) => blobId(text);
  const changes = changesAgainst(base, files, idOf);
  assert.deepEqual([...changes.written.keys()], ["new", "link"]);
  assert.deepEqual(changes.removed, ["gone"]);
  assert.equal(listingAfter(base, changes, idOf), undefined);
  const only = { written: new Map([["new", "newer"]]), removed: [] };
  assert.deepEqual(listingAfter(base, only, idOf)?.[2], entry("new", "newer"));
});
