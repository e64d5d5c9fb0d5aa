import assert from "node:assert/strict";
import type { NeededSecret, SecretSource } from "../../jobs/job.ts";
import { ControllerSecrets, type ControllerSecretsOptions } from "./store.ts";
import { encrypt, FIXTURES, privateFolder, withoutAge, write } from "./testing.ts";

const ignore = await withoutAge();

interface Around {
  readonly store: ControllerSecrets;
  readonly folder: string;
  readonly identity: string;
  readonly blobs: Map<string, Uint8Array>;
  readonly asked: string[];
  readonly time: { now: number };
}

function scenario(
  name: string,
  test: (around: Around) => Promise<void>,
  options: { ignore?: boolean; change?: Partial<ControllerSecretsOptions> } = {},
): void {
  Deno.test({
    name,
    ignore: options.ignore ?? false,
    async fn() {
      const { folder, identity } = await privateFolder();
      const blobs = new Map<string, Uint8Array>();
      const asked: string[] = [];
      const time = { now: 0 };
      const store = new ControllerSecrets({
        folder,
        identity,
        readBlobs: (oids, maxBytes) => {
          asked.push(...oids);
          const found = oids.flatMap((oid) => {
            const bytes = blobs.get(oid);
            return bytes && bytes.length <= maxBytes ? [[oid, bytes] as const] : [];
          });
          return Promise.resolve(new Map(found));
        },
        env: (name) => name === "UGRO_SECRET_KEY" ? "value-of-key" : undefined,
        now: () => time.now,
        ...options.change,
      });
      try {
        await test({ store, folder, identity, blobs, asked, time });
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

const needs = (source: SecretSource, blob?: string): NeededSecret => ({
  name: "X",
  source,
  ...(blob === undefined ? {} : { blob }),
});
const file = (name: string) => needs({ kind: "file", name });
const age = (blob?: string) => needs({ kind: "age", path: "secrets/db.age" }, blob);
const sops = (key: string, blob = "lab") =>
  needs({ kind: "sops", path: "secrets/lab.yaml", key: key.split(".") }, blob);

scenario(
  "a variable of the controller is found by its name with UGRO_SECRET_",
  async ({ store }) => {
    assert.deepEqual(await store.read(needs({ kind: "env", name: "KEY" })), {
      value: "value-of-key",
    });
    assert.deepEqual(await store.read(needs({ kind: "env", name: "HOME" })), { why: "is not set" });
  },
);

scenario("a file is read anew each time, without its last line break", async (around) => {
  const { store, folder } = around;
  await write(`${folder}/hf-token`, "one-value\n");
  assert.deepEqual(await store.read(file("hf-token")), { value: "one-value" });
  await write(`${folder}/hf-token`, "two-value");
  assert.deepEqual(await store.read(file("hf-token")), { value: "two-value" });
  assert.deepEqual(await store.read(file("other")), { why: "does not exist" });
});

scenario(
  "a file that others may read, a link, and a folder that is open are refused",
  async (a) => {
    const { store, folder } = a;
    await write(`${folder}/open`, "open-value", 0o640);
    await Deno.symlink("/etc/hostname", `${folder}/link`);
    await Deno.mkdir(`${folder}/folder`);
    const whys = await Promise.all(
      ["open", "link", "folder"].map((name) => store.read(file(name))),
    );
    assert.deepEqual(whys, [
      { why: "is open to others: chmod 600" },
      { why: "is not a regular file" },
      { why: "is not a regular file" },
    ]);
    await write(`${folder}/private`, "value");
    await Deno.chmod(folder, 0o755);
    assert.deepEqual(await store.read(file("private")), {
      why: "its folder is open to others: chmod 700",
    });
  },
);

scenario("the controller's own key is no secret of a job, wherever it lies", async ({ store }) => {
  assert.deepEqual(await store.read(file("age-identity.txt")), {
    why: "is the controller's own key",
  });
});

scenario("what a variable of a process cannot hold is refused", async ({ store, folder }) => {
  const cases: [string | Uint8Array, RegExp][] = [
    ["\n", /is empty/],
    ["a\0b", /NUL/],
    ["x".repeat(32_769), /more than 32768 bytes/],
    ["x".repeat(40_000), /more than \d+ bytes/],
    [new Uint8Array([0xff, 0x41]), /UTF-8/],
  ];
  for (const [content, expected] of cases) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(`${folder}/odd`, bytes, { mode: 0o600 });
    const found = await store.read(file("odd"));
    assert("why" in found);
    assert.match(found.why, expected);
  }
});

scenario("an age file is decrypted once a version", async ({ store, identity, blobs, asked }) => {
  blobs.set("b1", await encrypt("db-password\n", identity));
  blobs.set("b2", await encrypt("armoured one", identity, "--armor"));
  assert.deepEqual(await store.read(age("b1")), { value: "db-password" });
  assert.deepEqual(await store.read(age("b1")), { value: "db-password" });
  assert.deepEqual(await store.read(age("b2")), { value: "armoured one" });
  assert.deepEqual(asked, ["b1", "b2"]);
}, { ignore });

scenario("a value of a SOPS file is found by its key", async ({ store, blobs }) => {
  blobs.set("lab", await Deno.readFile(new URL("lab.yaml", FIXTURES)));
  assert.deepEqual(await store.read(sops("hf.token")), { value: "hf_abcdef0123456789" });
  assert.deepEqual(await store.read(sops("list.1.name")), { value: "second" });
  const none = { why: "has no single value under that key" };
  assert.deepEqual(await store.read(sops("hf.tokem")), none);
  assert.deepEqual(await store.read(sops("hf")), none);
  assert.deepEqual(await store.read(sops("hf.none")), none);
  assert.deepEqual(await store.read(sops("when_unencrypted")), {
    why: "that value stands there in the clear",
  });
}, { ignore });

scenario("an identity that comes later is used at once", async (around) => {
  const { store, identity, blobs } = around;
  const text = await Deno.readTextFile(identity);
  blobs.set("b", await encrypt("db-password", identity));
  await Deno.remove(identity);
  const missing = { why: "the controller's age identity does not exist" };
  assert.deepEqual(await store.read(age("b")), missing);
  await write(identity, text);
  assert.deepEqual(await store.read(age("b")), { value: "db-password" });
}, { ignore });

scenario("a file for somebody else is tried again after a while: the key may come", async (a) => {
  const { store, identity, blobs, time, asked } = a;
  const right = await Deno.readTextFile(identity);
  blobs.set("b", await encrypt("db-password", identity));
  await Deno.remove(identity);
  await new Deno.Command("age-keygen", { args: ["-o", identity], stderr: "null" }).output();
  const foreign = await store.read(age("b"));
  assert("why" in foreign);
  assert.match(foreign.why, /no identity matched any of the recipients/);
  await write(identity, right);
  time.now = 29_000;
  assert.deepEqual(await store.read(age("b")), foreign);
  assert.equal(asked.length, 1);
  time.now = 30_001;
  assert.deepEqual(await store.read(age("b")), { value: "db-password" });
}, { ignore });

scenario("an identity that others may read is not used", async ({ store, identity, blobs }) => {
  blobs.set("b", await encrypt("db-password", identity));
  await Deno.chmod(identity, 0o644);
  assert.deepEqual(await store.read(age("b")), {
    why: "the controller's age identity is open to others: chmod 600",
  });
}, { ignore });

scenario("what is no age file, is gone, or is no file at all says so", async ({ store, blobs }) => {
  blobs.set("junk", new TextEncoder().encode("hello"));
  blobs.set("huge", new Uint8Array(300_000));
  const junk = await store.read(age("junk"));
  assert("why" in junk);
  assert.match(junk.why, /^cannot be decrypted \(age: error: /);
  for (const blob of ["huge", "gone"]) {
    assert.deepEqual(await store.read(age(blob)), {
      why: "has more than 262144 bytes, or is gone",
    });
  }
  assert.deepEqual(await store.read(age()), { why: "is no regular file of the state repository" });
}, { ignore });

scenario("a plaintext that is too long is cut off at the door", async (around) => {
  const { store, identity, blobs } = around;
  blobs.set("long", await encrypt("x".repeat(100_000), identity));
  assert.deepEqual(await store.read(age("long")), { why: "what it holds is too long" });
}, { ignore });

scenario("twenty files at once are decrypted a few at a time", async (around) => {
  const { store, identity, blobs } = around;
  const names = Array.from({ length: 20 }, (_, i) => `b${i}`);
  for (const name of names) blobs.set(name, await encrypt(`value of ${name}`, identity));
  const found = await Promise.all(names.map((name) => store.read(age(name))));
  assert.deepEqual(found, names.map((name) => ({ value: `value of ${name}` })));
}, { ignore });

scenario("without the program `age` the reason says so", async ({ store, blobs }) => {
  blobs.set("b", new Uint8Array(8));
  assert.deepEqual(await store.read(age("b")), {
    why: "the program `age` is not installed on the controller's machine",
  });
}, { change: { program: "/nonexistent/age" } });

scenario("a repository that cannot be read is a reason, not an exception", async ({ store }) => {
  assert.deepEqual(await store.read(age("b")), { why: "cannot be read from the state repository" });
}, { change: { readBlobs: () => Promise.reject(new Error("git died")) } });

scenario("values that were read are known to `redact`, new ones at once", async (around) => {
  const { store, folder } = around;
  const text = "401: value-of-key, file-value";
  assert.equal(store.redact(text), text);
  await store.read({ name: "A", source: { kind: "env", name: "KEY" } });
  assert.equal(store.redact(text), "401: [secret A], file-value");
  await write(`${folder}/f`, "file-value");
  await store.read({ name: "B", source: { kind: "file", name: "f" } });
  assert.equal(store.redact(text), "401: [secret A], [secret B]");
});
