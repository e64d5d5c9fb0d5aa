/**
 * What the YAML parser complains about, in plain words.
 *
 * @module
 */
import type { YAMLError } from "yaml";
import { plain } from "./show.ts";

/** A message with, where one is known, a hint. */
export interface Words {
  readonly message: string;
  readonly hint?: string;
}

const WORDS: Partial<Record<YAMLError["code"], Words>> = {
  TAB_AS_INDENT: { message: "indentation with a tab", hint: "use spaces" },
  BAD_INDENT: {
    message: "wrong indentation",
    hint: "keys of one map, and items of one list, begin in the same column",
  },
  MULTILINE_IMPLICIT_KEY: {
    message: "expected `key: value`, but no `:` follows on this line",
  },
  BLOCK_AS_IMPLICIT_KEY: {
    message: "a second `:` or a list on the line of a key",
    hint: "put text with `: ` in quotes, or the nested map on the next line",
  },
  BAD_SCALAR_START: {
    message: "text cannot begin with this character",
    hint: "put it in quotes",
  },
  BAD_DQ_ESCAPE: {
    message: "unknown escape after a backslash in double quotes",
    hint: "write `\\\\` for a backslash, or use single quotes",
  },
  TAG_RESOLVE_FAILED: { message: "tags (`!name`) are not allowed", hint: "remove the tag" },
  BAD_COLLECTION_TYPE: { message: "tags (`!name`) are not allowed", hint: "remove the tag" },
  RESOURCE_EXHAUSTION: { message: "nested too deeply" },
};

/** A placeholder such as `{job}` without quotes, inside a map or a list in brackets. */
const BRACE: Words = {
  message: "a `{` in the middle of a text",
  hint:
    'put the text in quotes, such as "/shared/{job}": inside `{ … }` and `[ … ]` a `{` begins ' +
    "a new map",
};

/**
 * The parser's complaint in plain words; its own first line where we have no better. `at` is the
 * character that it is about.
 */
export function yamlWords(error: YAMLError, at?: string): Words {
  const isStray = error.code === "UNEXPECTED_TOKEN" || error.code === "MISSING_CHAR";
  if (isStray && at === "{") return BRACE;
  const words = WORDS[error.code];
  if (words !== undefined) return words;
  const [first = "not valid YAML"] = error.message.split("\n");
  return { message: `not valid YAML: ${plain(first, 200)}` };
}
