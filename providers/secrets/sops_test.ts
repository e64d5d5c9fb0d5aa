/** On files of SOPS 3.11 itself (fixtures/), with the real `age`. */
import assert from "node:assert/strict";
import { ageDecrypt } from "./age.ts";
import { readSops, sopsPath } from "./sops.ts";
import { FIXTURES, privateFolder, withoutAge } from "./testing.ts";

const ignore = await withoutAge();

async function setUp(name: string, change: (text: string) => string = (text) => text) {
  const { folder, identity } = await privateFolder();
  try {
    const text = change(await Deno.readTextFile(new URL(name, FIXTURES)));
    const unwrap = (bytes: Uint8Array) => ageDecrypt(bytes, { program: "age", identity });
    return await readSops(`secrets/${name}`, new TextEncoder().encode(text), unwrap);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function values(name: string, change?: (text: string) => string) {
  const file = await setUp(name, change);
  assert("values" in file, JSON.stringify(file));
  return Object.fromEntries([...file.values].map(([key, v]) => [JSON.parse(key).join("."), v]));
}

const PLAIN = {
  "hf.token": "hf_abcdef0123456789",
  "hf.number": "42",
  "hf.flag": "true",
  "hf.ratio": "2.5",
  "list.0": "one-first",
  "list.1.name": "second",
  "list.1.value": "line one\nline two\n",
};

Deno.test({ name: "a YAML file of SOPS gives its values by their keys", ignore }, async () => {
  assert.deepEqual(await values("lab.yaml"), PLAIN);
});

Deno.test({ name: "a JSON file of SOPS does, too", ignore }, async () => {
  assert.deepEqual(await values("lab.json"), {
    "hf.token": "hf_json0123456789",
    "z.0": "1",
    "z.1.a": "b",
  });
});

Deno.test({ name: "the identity may belong to any of the recipients", ignore }, async () => {
  assert.deepEqual(await values("two.yaml"), PLAIN);
});

Deno.test({ name: "what SOPS left in the clear is told apart", ignore }, async () => {
  const file = await setUp("only.yaml");
  assert("values" in file, JSON.stringify(file));
  assert.equal(file.values.get(sopsPath(["hf", "token"])), PLAIN["hf.token"]);
  assert.equal(file.values.size, 2);
  assert(file.clear.has(sopsPath(["hf", "number"])));
});

const TOKEN_LINE = /\n {4}token: (.*)/;
const CHANGES: readonly [string, string, (text: string) => string][] = [
  ["a value in the clear changed", "lab.yaml", (t) => t.replace("plain text", "other text")],
  [
    "a number changed",
    "lab.yaml",
    (t) => t.replace("count_unencrypted: 7", "count_unencrypted: 8"),
  ],
  ["an encrypted value replaced", "lab.yaml", (t) => t.replace(TOKEN_LINE, "\n    token: mine")],
  [
    "the same, with a MAC of encrypted values",
    "only.yaml",
    (t) => t.replace(TOKEN_LINE, "\n    token: mine"),
  ],
  ["an encrypted value taken away", "lab.yaml", (t) => t.replace(TOKEN_LINE, "")],
  ["a value moved to another key", "lab.yaml", (t) => t.replace("    token:", "    tokem:")],
  ["the time changed", "lab.yaml", (t) => t.replace(/lastmodified: "2026/, 'lastmodified: "2027')],
  ["a bit of a value flipped", "lab.yaml", (t) => t.replace("data:vPEl", "data:vPEm")],
];

for (const [what, name, change] of CHANGES) {
  Deno.test({ name: `a file that was changed is refused: ${what}`, ignore }, async () => {
    assert.notEqual(change("x"), undefined);
    const before = await Deno.readTextFile(new URL(name, FIXTURES));
    assert.notEqual(change(before), before, "the change changes something");
    const file = await setUp(name, change);
    assert("why" in file, JSON.stringify(file));
    assert.match(file.why, /cannot be decrypted|MAC does not fit/);
  });
}

Deno.test({ name: "a file for others cannot be opened, and says so", ignore }, async () => {
  const file = await setUp("two.yaml", (text) => {
    const parts = text.split("        - recipient: ");
    return [parts[0], parts[1]].join("        - recipient: ") +
      text.slice(text.indexOf("    last"));
  });
  assert("why" in file);
  assert.match(file.why, /no identity matched/);
});

Deno.test("what SOPS did not write is told so, and a value in it is not repeated", async () => {
  const never = () => Promise.resolve({ why: "not asked" });
  const texts = [
    ["a.yaml", "token: hf_value\n"],
    ["a.yaml", "sops: {age: []}\n"],
    ["a.yaml", "- a\n"],
    ["a.yaml", "a: {b: hf_value\n"],
    ["a.yaml", "a: *hf_value\n"],
    ["a.json", "{hf_value"],
    ["a.json", `${"[".repeat(100_000)}`],
    ["a.json", "3"],
  ];
  for (const [name = "", text = ""] of texts) {
    const file = await readSops(name, new TextEncoder().encode(text), never);
    assert("why" in file, text.slice(0, 20));
    assert.doesNotMatch(file.why, /hf_value/);
  }
});

Deno.test("a nesting that is too deep, or values that are no cipher text, throw nothing", async () => {
  const key = () => Promise.resolve({ bytes: new Uint8Array(32) });
  const sops = `"sops":{"age":[{"enc":"x"}],"lastmodified":"now","mac":"MAC"}`;
  const deep = `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)},${sops}}`;
  const odd = `{"a":"ENC[AES256_GCM,data:AAAA,iv:AA==,tag:AA==,type:str]",${sops}}`;
  for (const text of [deep, odd, `{"a":1,${sops}}`]) {
    const file = await readSops("a.json", new TextEncoder().encode(text), key);
    assert("why" in file);
  }
});
