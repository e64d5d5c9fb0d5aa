/**
 * UGRO: a GPU training platform whose control plane is a git repository.
 *
 * @example
 * deno task start --repo git@forge.example:team/state.git
 *
 * @module
 */
import { runCli } from "./cli/mod.ts";

if (import.meta.main) Deno.exitCode = await runCli(Deno.args);
