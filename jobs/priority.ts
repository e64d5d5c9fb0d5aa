/**
 * Priorities by name; they live in `cluster/`, since both rooms read files.
 *
 * @module
 */
export * from "../cluster/priority.ts";
