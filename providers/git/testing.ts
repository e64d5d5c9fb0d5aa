/**
 * Bare repositories in temporary folders, for the tests of this folder.
 *
 * @module
 */
import { join } from "node:path";
import type { Lease } from "../../reconciler/ports.ts";
import { GitStateRepository } from "./repository.ts";
import type { GitStateOptions } from "./options.ts";

/** A temporary world: a remote, and repositories that are closed at the end. */
export class Lab {
  readonly remote: string;
  #opened: GitStateRepository[] = [];
  #count = 0;

  private constructor(readonly dir: string) {
    this.remote = join(dir, "remote.git");
  }

  /** Runs a test in a lab with an empty bare remote. */
  static async with(test: (lab: Lab) => Promise<void>): Promise<void> {
    const lab = new Lab(await Deno.makeTempDir({ prefix: "ugro-git-" }));
    try {
      await lab.git(["init", "--quiet", "--bare", "--initial-branch=main", lab.remote]);
      await test(lab);
    } finally {
      await Promise.all(lab.#opened.map((one) => one.close()));
      await Deno.remove(lab.dir, { recursive: true });
    }
  }

  /** A new repository with a mirror of its own. */
  open(options: Partial<GitStateOptions> = {}): GitStateRepository {
    const name = `mirror${this.#count++}`;
    const repository = new GitStateRepository({
      remote: this.remote,
      mirrorDir: join(this.dir, `${name}.git`),
      codeDir: join(this.dir, `${name}-code`),
      ...options,
    });
    this.#opened.push(repository);
    return repository;
  }

  /** Runs git as a person would; gives stdout, trimmed. */
  async git(args: string[], stdin?: string): Promise<string> {
    const child = new Deno.Command("git", {
      args: ["-c", "gc.auto=0", "-c", "protocol.file.allow=always", ...args],
      env: {
        GIT_AUTHOR_NAME: "Ada",
        GIT_AUTHOR_EMAIL: "ada@example.org",
        GIT_COMMITTER_NAME: "Ada",
        GIT_COMMITTER_EMAIL: "ada@example.org",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(stdin ?? ""));
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    if (code !== 0) throw new Error(`git ${args[0]}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout).trim();
  }

  /** Commits exactly `files` to a branch of the remote; values are texts, or `MODE OID`. */
  async commit(
    branch: string,
    files: Record<string, string | { mode: string; text?: string; oid?: string }>,
    parent: string | undefined = undefined,
  ): Promise<string> {
    const enc = (text: string) => new TextEncoder().encode(text).length;
    const from = parent === undefined ? "" : `from ${parent}\n`;
    let stream = `reset refs/heads/${branch}\ncommit refs/heads/${branch}\nmark :1\n` +
      `committer Ada <ada@example.org> 1700000000 +0000\ndata 4\ntest\n${from}deleteall\n`;
    for (const [path, file] of Object.entries(files)) {
      const { mode, text = "", oid = undefined } = typeof file === "string"
        ? { mode: "100644", text: file }
        : file;
      const quoted = JSON.stringify(path);
      stream += oid === undefined
        ? `M ${mode} inline ${quoted}\ndata ${enc(text)}\n${text}\n`
        : `M ${mode} ${oid} ${quoted}\n`;
    }
    stream += "get-mark :1\ndone\n";
    return await this.git(
      ["--git-dir", this.remote, "fast-import", "--quiet", "--force", "--done"],
      stream,
    );
  }

  /** Puts a hook into the remote. */
  async hook(name: string, script: string): Promise<void> {
    const path = join(this.remote, "hooks", name);
    await Deno.mkdir(join(this.remote, "hooks"), { recursive: true });
    await Deno.writeTextFile(path, `#!/bin/sh\n${script}\n`);
    await Deno.chmod(path, 0o755);
  }

  /** Head of a branch of the remote, or undefined. */
  async head(branch: string): Promise<string | undefined> {
    const args = ["--git-dir", this.remote, "for-each-ref", "--format=%(objectname)"];
    const oid = await this.git([...args, `refs/heads/${branch}`]);
    return oid === "" ? undefined : oid;
  }
}

/** A lease to write. */
export const LEASE: Lease = {
  epoch: 3,
  repository: "r",
  owner: "host:1",
  claim: "c3",
  claimedAt: "2026-01-01T00:00:00Z",
  beat: 0,
  watched: false,
  released: false,
};

/** The value of an outcome; throws its reason when it is not ok. */
export function valueOf<T>(
  outcome: { kind: "ok"; value: T } | { kind: string; reason: string },
): T {
  if ("value" in outcome) return outcome.value;
  throw new Error(`${outcome.kind}: ${outcome.reason}`);
}
