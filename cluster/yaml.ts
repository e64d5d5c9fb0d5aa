/**
 * The YAML front end: bytes of a file from the state repository in, a plain value with the place
 * of everything in it out. Bounded in size and depth, and it never throws.
 *
 * @example
 * const read = parseYaml("cluster.yaml", bytes);
 * if (read.ok) read.value.place(["nodes", 0, "host"]); // { line: 3, column: 11 }
 *
 * @module
 */
import {
  Composer,
  type CST,
  type Document,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  Parser,
} from "yaml";
import type { Parsed, Problem } from "./problem.ts";
import type { Path } from "./show.ts";
import { decodeText } from "./text.ts";
import { keyText, pairOf, startOf, toPlain } from "./yaml_tree.ts";
import { yamlWords } from "./yaml_words.ts";

/** The largest file that is read. */
export const MAX_FILE_BYTES = 1024 * 1024;
/** The deepest nesting that is read; checked before anything recurses. */
const MAX_DEPTH = 64;
/** The most words and punctuation marks that are read: bounds the time that one file can take. */
const MAX_LEXEMES = 300_000;
/** The most problems reported for one file. */
const MAX_PROBLEMS = 50;

/** A line and a column, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A file's value together with where everything in it stands. */
export interface YamlFile {
  readonly file: string;
  readonly value: unknown;
  /** Where the value at `path` stands, or its key; of the nearest parent when it is missing. */
  place(path: Path, what?: "value" | "key"): Place;
  /** The characters of an unquoted scalar as written: `1.10`, where the value is 1.1. */
  written(path: Path): string | undefined;
}

/** How a file is read. */
export interface Reading {
  readonly maxBytes: number;
  /** Words and punctuation marks; this bounds the time. */
  readonly maxLexemes: number;
  /** A program wrote it: what people would not expect of texts and numbers may be there. */
  readonly byProgram: boolean;
}

const BY_PEOPLE: Reading = { maxBytes: MAX_FILE_BYTES, maxLexemes: MAX_LEXEMES, byProgram: false };

/** Reads one YAML file. */
export function parseYaml(file: string, bytes: Uint8Array, reading = BY_PEOPLE): Parsed<YamlFile> {
  const text = decodeText(file, bytes, reading.maxBytes);
  if (!text.ok) return text;
  const lines = linesOf(text.value);
  const problems: Problem[] = [];
  const complain = (offset: number, message: string, hint?: string) => {
    const { line, col } = lines.linePos(offset);
    const place = { file, line: Math.max(1, line), column: Math.max(1, col) };
    problems.push({ ...place, message, ...(hint === undefined ? {} : { hint }) });
  };
  try {
    const doc = compose(text.value, complain, reading.maxLexemes);
    const value = doc === undefined ? null : toPlain(doc.contents, complain, reading.byProgram);
    if (problems.length === 0 && doc !== undefined) {
      return { ok: true, value: locate(file, value, doc, lines), warnings: [] };
    }
  } catch (error) {
    complain(0, `cannot be read as YAML: ${error instanceof Error ? error.message : error}`);
  }
  return { ok: false, problems: sortProblems(problems) };
}

/** By place, the first `MAX_PROBLEMS`, without repetitions. */
export function sortProblems<P extends Pick<Problem, "line" | "column" | "message">>(
  problems: readonly P[],
): P[] {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const fresh = sorted.filter((p, i) =>
    i === 0 || p.line !== sorted[i - 1]!.line || p.column !== sorted[i - 1]!.column ||
    p.message !== sorted[i - 1]!.message
  );
  return fresh.slice(0, MAX_PROBLEMS);
}

type Complain = (offset: number, message: string, hint?: string) => void;

/** Where lines begin. The parser, when it has lost its way, does not count all of them. */
function linesOf(text: string): LineCounter {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
    lines.addNewLine(at + 1);
  }
  return lines;
}

function compose(
  text: string,
  complain: Complain,
  maxLexemes: number,
): Document | undefined {
  const tokens = tokenise(text, complain, maxLexemes);
  if (tokens === undefined) return undefined;
  const composer = new Composer({ schema: "core", uniqueKeys: false, prettyErrors: false });
  let first: Document | undefined;
  for (const doc of composer.compose(tokens, true, text.length)) {
    // Tags are refused with the values that carry them.
    const warnings = doc.warnings.filter(({ code }) => code !== "TAG_RESOLVE_FAILED");
    // After the first slip the parser stumbles over what is right: that would bury the cause.
    const slip = doc.errors.toSorted((a, b) => a.pos[0] - b.pos[0])[0] ?? warnings[0];
    if (slip !== undefined) {
      const { message, hint } = yamlWords(slip, text[slip.pos[0]]);
      complain(slip.pos[0], message, hint);
      return undefined;
    }
    if (first !== undefined) {
      complain(doc.range[0], "a second document (`---`) in one file", "one file, one document");
      break;
    }
    first = doc;
  }
  return first;
}

function tokenise(
  text: string,
  complain: Complain,
  maxLexemes: number,
): CST.Token[] | undefined {
  const tokens: CST.Token[] = [];
  const parser = new Parser();
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++lexemes > maxLexemes) {
      complain(0, "the file has too many parts", "split it, or keep data elsewhere");
      return undefined;
    }
    for (const token of parser.next(lexeme)) tokens.push(token);
    // A level of nesting is one open token; the document itself is one more.
    if (parser.stack.length > MAX_DEPTH + 1) {
      complain(parser.offset - lexeme.length, `nested more than ${MAX_DEPTH} levels deep`);
      return undefined;
    }
  }
  for (const token of parser.end()) tokens.push(token);
  for (const token of tokens) {
    if (token.type === "directive") {
      complain(token.offset, "directives (`%…`) are not allowed", "remove the line");
      return undefined;
    }
  }
  return tokens;
}

function locate(file: string, value: unknown, doc: Document, lines: LineCounter): YamlFile {
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  return {
    file,
    value,
    place: (path, what = "value") => at(offsetOf(doc, path, what)),
    written: (path) => {
      let node: unknown = doc.contents;
      for (const part of path) {
        if (isMap(node)) node = pairOf(node, String(part))?.value;
        else node = isSeq(node) ? node.items[Number(part)] : undefined;
      }
      return isScalar(node) && typeof node.value !== "string" ? node.source : undefined;
    },
  };
}

function offsetOf(doc: Document, path: Path, what: "value" | "key"): number {
  let node: unknown = doc.contents;
  let key = startOf(node);
  for (const part of path) {
    if (isMap(node)) {
      const pair = pairOf(node, String(part));
      if (pair === undefined || keyText(pair.key) === undefined) return key;
      key = startOf(pair.key);
      node = pair.value ?? pair.key;
    } else if (isSeq(node) && node.items[Number(part)] !== undefined) {
      node = node.items[Number(part)];
      key = startOf(node);
    } else return key;
  }
  return what === "key" ? key : startOf(node);
}
