/**
 * `ugro version`: the versions that a bug report needs.
 *
 * @module
 */
import manifest from "../deno.json" with { type: "json" };
import { print } from "./text.ts";

/** UGRO's own version. */
export const VERSION: string = manifest.version;

/** Prints the versions of UGRO, Deno and the machine. */
export function version(): number {
  const { deno } = Deno.version;
  print(`ugro ${VERSION}\ndeno ${deno}\nos ${Deno.build.os} ${Deno.build.arch}`);
  return 0;
}
