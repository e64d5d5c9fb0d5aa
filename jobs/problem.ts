/**
 * Problems with what people wrote; they live in `cluster/`, since both rooms read files.
 *
 * @module
 */
export * from "../cluster/problem.ts";
