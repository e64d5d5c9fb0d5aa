/**
 * What names, addresses and paths may look like. Narrow on purpose: these values reach `ssh`
 * command lines and environment variables of other machines.
 *
 * @module
 */

/** A node: lower case, digits, `.` and `-`. */
export const NODE_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/;
/** A host name, address or ssh alias, never an option; `{name}` stands for the node's name. */
export const HOST =
  /^(?:(?:[A-Za-z0-9_]|\{name\})(?:[A-Za-z0-9_.-]|\{name\})*|(?=[^:]*:[^:]*:)[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)$/;
/** A login name. */
export const USER = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;
/** Who a job belongs to: a login or a mail address. */
export const PERSON = /^[A-Za-z0-9][\w.@+-]{0,99}$/;
/** Who may use a queue: a person, or `@` and the name of a group. */
export const MEMBER =
  /^(?:[A-Za-z0-9][\w.@+-]{0,99}|@[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)$/;
/** A GPU of a node: its index, or its uuid as `nvidia-smi -L` shows it. */
export const GPU = /^(?:0|[1-9]\d{0,2}|(?:GPU|MIG)-[A-Za-z0-9.\/-]{1,90})$/;
/** A network interface. */
export const INTERFACE = /^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,14}$/;
/** Absolute, or from the home of the node's user; no control characters, no `..`. */
export const NODE_PATH =
  // deno-lint-ignore no-control-regex
  /^(?!.*(?:^|\/)\.\.(?:\/|$))(?:\/|~(?:\/|$))[^\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*$/;
/** A program by name or path: what a remote shell takes as one word. */
export const PROGRAM = /^[A-Za-z0-9_./~][A-Za-z0-9_./~+-]*$/;
/** The name of an environment, queue or cluster pool. */
export const WORD = /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/;
/** The key of a label, `zone` or `example.org/zone`. */
export const LABEL_KEY = /^[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?$/;
/** The value of a label. */
export const LABEL_VALUE = /^[A-Za-z0-9_.:-]{0,63}$/;
/** An environment variable that people may set; `UGRO_…` is ours. */
export const ENV_NAME = /^(?!UGRO_)[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** One line that is the same to a reader and to a program: no controls, no marks that reorder. */
export const LINE =
  // deno-lint-ignore no-control-regex
  /^[^\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+$/;
/** What an environment variable may hold: anything but NUL. */
// deno-lint-ignore no-control-regex
export const ENV_VALUE = /^[^\u0000]*$/;

/** The words for `NODE_PATH`. */
export const NODE_PATH_WORDS = "an absolute path or one that begins with `~/`, without `..`";
/** The words for `ENV_NAME`. */
export const ENV_NAME_WORDS = "a name of letters, digits and `_` that does not begin with `UGRO_`";
