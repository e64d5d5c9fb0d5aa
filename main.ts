/**
 * UGRO: a GPU training platform whose control plane is a git repository.
 *
 * @example
 * deno task start --repo git@forge.example:team/state.git
 *
 * @module
 */
import { runCli } from "./cli/mod.ts";

// exit, not exitCode: a grandchild of ssh (a ProxyCommand) may hold a pipe long after the end.
if (import.meta.main) Deno.exit(await runCli(Deno.args));
