/**
 * https remotes, against git's own server side (`git http-backend`) behind a real TLS socket.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Lab, LEASE, valueOf } from "./testing.ts";

/** A certificate for 127.0.0.1 that nobody but these tests trusts. */
async function certificate(dir: string): Promise<{ cert: string; key: string }> {
  const [cert, key] = [`${dir}/cert.pem`, `${dir}/key.pem`];
  const args = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 " +
    `-addext subjectAltName=IP:127.0.0.1 -keyout ${key} -out ${cert}`;
  const { success } = await new Deno.Command("openssl", {
    args: args.split(" "),
    stdout: "null",
    stderr: "null",
  }).output();
  assert(success, "openssl makes a certificate");
  return { cert, key };
}

/** Runs `git http-backend` for one request, as a web server does by CGI. */
async function backend(root: string, request: Request): Promise<Response> {
  const url = new URL(request.url);
  const body = new Uint8Array(await request.arrayBuffer());
  const child = new Deno.Command("git", {
    args: ["http-backend"],
    env: {
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers.get("content-type") ?? "",
      HTTP_CONTENT_ENCODING: request.headers.get("content-encoding") ?? "",
      GIT_PROTOCOL: request.headers.get("git-protocol") ?? "",
      CONTENT_LENGTH: String(body.length),
      REMOTE_USER: "ada",
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(body);
  await writer.close();
  const { stdout } = await child.output();
  const text = new TextDecoder("latin1").decode(stdout);
  const end = text.indexOf("\r\n\r\n");
  const headers = new Headers();
  for (const line of text.slice(0, end).split("\r\n")) {
    const [name = "", ...value] = line.split(": ");
    headers.set(name, value.join(": "));
  }
  const status = Number(headers.get("status")?.slice(0, 3) ?? 200);
  headers.delete("status");
  return new Response(stdout.slice(end + 4), { status, headers });
}

Deno.test("an https remote is read, claimed and written; an untrusted one says what to do", () =>
  Lab.with(async (lab) => {
    await lab.git(["--git-dir", lab.remote, "config", "http.receivepack", "true"]);
    const commit = await lab.commit("main", { "cluster.yaml": "cluster: {name: a}\n" });
    const { cert, key } = await certificate(lab.dir);
    const server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      cert: await Deno.readTextFile(cert),
      key: await Deno.readTextFile(key),
      onListen: () => {},
    }, (request) => backend(lab.dir, request));
    try {
      const remote = `https://127.0.0.1:${server.addr.port}/remote.git`;
      const stranger = await lab.open({ remote }).refresh();
      assert.equal(stranger.kind, "unknown");
      assert.match(stranger.kind === "unknown" ? stranger.reason : "", /certificate/);

      // As a person would trust a forge of their own: in their git configuration.
      await Deno.writeTextFile(`${lab.dir}/.gitconfig`, `[http]\n\tsslCAInfo = ${cert}\n`);
      const { GIT_SSL_CAINFO: _, ...own } = Deno.env.toObject(); // it would win over the file
      const env = { ...own, HOME: lab.dir };
      const state = lab.open({ remote, env });
      assert.equal(valueOf(await state.refresh()).desired, commit);
      const version = valueOf(await state.writeLease(undefined, LEASE));
      assert.deepEqual(valueOf(await state.refresh()).lease, { version, lease: LEASE });
      const files = new Map([["README.md", "hello\n"]]);
      const head = valueOf(
        await state.commitStatus({ base: undefined, files, message: "first\n" }),
      );
      assert.equal(await lab.head("ugro/status"), head);
    } finally {
      await server.shutdown();
    }
  }));
