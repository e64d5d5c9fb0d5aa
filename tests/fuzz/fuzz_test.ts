/**
 * Everything that comes from outside, as somebody who means harm would send it. One file, so that
 * the cases are counted together.
 *
 * @module
 */
import "./manifests.ts";
import "./clusters.ts";
import "./nodes.ts";
import "./outputs.ts";
import "./repository.ts";
import "./runners.ts";
import "./surfaces.ts";
import { summary } from "./harness.ts";

Deno.test("fuzz: the cases are counted", () => console.log(summary()));
