/**
 * The service with a crash built in, for tests: `UGRO_TEST_CRASH_AT=before:3` kills it with
 * SIGKILL before its third effect (counted from 1), `after:3` right after it. An effect is a push,
 * or an operation that changes something on a node. Takes the arguments of `main.ts`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { parseListen } from "../../cli/options.ts";
import { runService } from "../../cli/service.ts";
import type { Outside } from "../../cli/term.ts";

const EFFECTS = new Set(["commitStatus", "writeLease", "launch", "stop", "clean", "putCode"]);

/** Counts the calls of effects through both doors and crashes at the one that was asked for. */
function crashing({ repository, fleet }: Outside, at: string): Outside {
  const [when, number] = at.split(":");
  let count = 0;
  const wrap = <T extends object>(door: T): T =>
    new Proxy(door, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        const call = value.bind(target) as (...args: unknown[]) => unknown;
        if (!EFFECTS.has(String(key))) return call;
        return async (...args: unknown[]) => {
          const mine = ++count;
          console.error(JSON.stringify({ msg: "effect", number: mine, name: key }));
          if (when === "before" && mine === Number(number)) Deno.kill(Deno.pid, "SIGKILL");
          const result = await call(...args);
          if (when === "after" && mine === Number(number)) Deno.kill(Deno.pid, "SIGKILL");
          return result;
        };
      },
    });
  return { repository: wrap(repository), fleet: wrap(fleet) };
}

const { values } = parseArgs({
  args: Deno.args.filter((arg) => arg !== "start"),
  options: {
    repo: { type: "string" },
    branch: { type: "string", default: "main" },
    "state-dir": { type: "string" },
    listen: { type: "string", default: "127.0.0.1:0" },
    "ssh-config": { type: "string" },
  },
});
Deno.exitCode = await runService({
  repo: values.repo ?? "",
  branch: values.branch,
  stateDir: values["state-dir"] ?? ".ugro",
  listen: parseListen(values.listen),
  ...(values["ssh-config"] ? { sshConfig: values["ssh-config"] } : {}),
  logLevel: "debug",
  once: false,
  standby: false,
}, { wrap: (outside) => crashing(outside, Deno.env.get("UGRO_TEST_CRASH_AT") ?? "") });
