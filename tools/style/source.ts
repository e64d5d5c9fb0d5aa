/**
 * Reads one TypeScript file into the facts that the style rules look at: what it imports, what it
 * exports, and how long its functions are. The parser is TypeScript's own.
 *
 * @example
 * const source = readSource("jobs/a.ts", 'import { b } from "./b.ts";');
 * source.imports[0].names; // ["b"]
 *
 * @module
 */
import ts from "typescript";

/** A place in a file; `line` and `column` count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** One import, re-export or dynamic import. */
export interface Import extends Place {
  readonly specifier: string;
  /** Names taken from the other file; `"*"` stands for all of them. */
  readonly names: readonly string[];
}

/** One exported name. */
export interface Export extends Place {
  readonly name: string;
  /** An interface or a type alias. */
  readonly isType: boolean;
  /** How often the file itself uses the name, its declaration aside. */
  readonly usesInFile: number;
}

/** A function or method, from its first line to its last. */
export interface FunctionSize extends Place {
  readonly name: string;
  readonly lines: number;
}

/** What the rules know of a file. `path` is relative to the root of the project, with slashes. */
export interface Source {
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  readonly exports: readonly Export[];
  readonly functions: readonly FunctionSize[];
}

/** Parses `text`; a syntax error is left to `deno check`. */
export function readSource(path: string, text: string): Source {
  const kind = path.endsWith("x") ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true, kind);
  const imports: Import[] = [];
  const functions: FunctionSize[] = [];
  const uses = new Map<string, number>();
  const visit = (node: ts.Node): void => {
    const found = importOf(file, node);
    if (found) imports.push(found);
    if (ts.isFunctionLike(node) && "body" in node && node.body) {
      functions.push(sizeOf(file, node));
    }
    if (ts.isIdentifier(node)) uses.set(node.text, (uses.get(node.text) ?? 0) + 1);
    ts.forEachChild(node, visit);
  };
  visit(file);
  const exports = file.statements.flatMap((statement) => exportsOf(file, statement, uses));
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  return { path, lines, imports, exports, functions };
}

/** Where a node begins, its comments aside. */
function placeOf(file: ts.SourceFile, node: ts.Node): Place {
  const { line, character } = file.getLineAndCharacterOfPosition(node.getStart(file));
  return { line: line + 1, column: character + 1 };
}

/** The import that `node` is, if any. */
function importOf(file: ts.SourceFile, node: ts.Node): Import | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
    const specifier = node.moduleSpecifier;
    if (!specifier || !ts.isStringLiteral(specifier)) return undefined;
    const names = ts.isImportDeclaration(node) ? importedNames(node) : reexportedNames(node);
    return { specifier: specifier.text, names, ...placeOf(file, specifier) };
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return literalImport(file, node.argument.literal);
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    return literalImport(file, node.arguments[0]);
  }
  return undefined;
}

/** `import("…")` with a plain string: counts as a use of every name. */
function literalImport(file: ts.SourceFile, node: ts.Node | undefined): Import | undefined {
  if (!node || !ts.isStringLiteral(node)) return undefined;
  return { specifier: node.text, names: ["*"], ...placeOf(file, node) };
}

function importedNames(node: ts.ImportDeclaration): string[] {
  const clause = node.importClause;
  if (!clause) return [];
  const names = clause.name ? ["default"] : [];
  const bindings = clause.namedBindings;
  if (bindings && ts.isNamespaceImport(bindings)) return [...names, "*"];
  return names.concat(bindings?.elements.map((e) => (e.propertyName ?? e.name).text) ?? []);
}

function reexportedNames(node: ts.ExportDeclaration): string[] {
  if (!node.exportClause || !ts.isNamedExports(node.exportClause)) return ["*"];
  return node.exportClause.elements.map((e) => (e.propertyName ?? e.name).text);
}

/** The names that one statement exports; `export *` has none of its own. */
function exportsOf(
  file: ts.SourceFile,
  statement: ts.Statement,
  uses: ReadonlyMap<string, number>,
): Export[] {
  const one = (node: ts.Node, name: string, isType = false): Export => ({
    name,
    isType,
    usesInFile: Math.max(0, (uses.get(name) ?? 0) - 1),
    ...placeOf(file, node),
  });
  if (ts.isExportDeclaration(statement)) {
    const clause = statement.exportClause;
    if (!clause || !ts.isNamedExports(clause)) return [];
    return clause.elements.map((e) => one(e, e.name.text, statement.isTypeOnly || e.isTypeOnly));
  }
  if (ts.isExportAssignment(statement)) return [one(statement, "default")];
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
  if (!modifiers?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword)) return [];
  if (modifiers.some((m) => m.kind === ts.SyntaxKind.DefaultKeyword)) {
    return [one(statement, "default")];
  }
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap((d) => boundNames(d.name))
      .map((name) => one(name, name.text));
  }
  const { name } = statement as ts.DeclarationStatement;
  const isType = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
  return name && ts.isIdentifier(name) ? [one(name, name.text, isType)] : [];
}

/** The identifiers that a declaration binds, destructured ones included. */
function boundNames(name: ts.BindingName): ts.Identifier[] {
  if (ts.isIdentifier(name)) return [name];
  return name.elements.flatMap((e) => ts.isOmittedExpression(e) ? [] : boundNames(e.name));
}

function sizeOf(file: ts.SourceFile, node: ts.SignatureDeclaration): FunctionSize {
  const start = placeOf(file, node);
  const end = file.getLineAndCharacterOfPosition(node.getEnd()).line + 1;
  return { name: nameOf(node), lines: end - start.line + 1, ...start };
}

/** The name of a function, or of the variable or property that holds it. */
function nameOf(node: ts.SignatureDeclaration): string {
  const named = node.name ?? (node.parent as { name?: ts.Node }).name;
  if (ts.isConstructorDeclaration(node)) return "constructor";
  return named && (ts.isIdentifier(named) || ts.isStringLiteral(named))
    ? named.text
    : "(anonymous)";
}
