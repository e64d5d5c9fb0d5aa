/**
 * Draws utilisation over time, a line for each policy, as a picture of its own that reads on light
 * and on dark ground.
 *
 * @module
 */
import { plain } from "../../cluster/show.ts";
import type { Run } from "./replay.ts";

/** A line of the picture: the policy's name and its replay. */
export type Line = readonly [name: string, run: Run];

const WIDTH = 960;
const HEIGHT = 420;
const LEFT = 64;
const RIGHT = 16;
const TOP = 72;
const BOTTOM = 56;
const MAX_POINTS = 960;
/** Told apart by the colour-blind too (Okabe and Ito), and by their dashes. */
const STYLES = [
  ["#0072b2", ""],
  ["#d55e00", "6 3"],
  ["#009e73", "2 3"],
  ["#cc79a7", "10 3 2 3"],
  ["#e69f00", "4 2"],
] as const;
/** Reads on white and on black. */
const INK = "#808080";

/** An SVG document. */
export function utilisationSvg(title: string, lines: readonly Line[]): string {
  const ends = lines.flatMap(([, { stays }]) => stays).map((stay) => stay.endMs);
  const toMs = ends.reduce((a, b) => Math.max(a, b), 0);
  const fromMs = lines.flatMap(([, { outcomes }]) => outcomes[0]?.job.submitMs ?? [])
    .reduce((a, b) => Math.min(a, b), toMs);
  const spanMs = Math.max(1, toMs - fromMs);
  const curves = lines.map(([name, run], i) => {
    const levels = levelsOf(run, fromMs, spanMs);
    return curve(name, levels, i);
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" ` +
    `font-family="sans-serif" font-size="12" fill="${INK}">`,
    `<title>${escapeXml(title)}</title>`,
    text(LEFT, 24, title, 'font-size="16"'),
    ...axes(spanMs),
    ...curves,
    "</svg>\n",
  ].join("\n");
}

/** Mean utilisation of each of `MAX_POINTS` equal stretches of time, from 0 to 1. */
export function levelsOf({ stays, capacity }: Run, fromMs: number, spanMs: number): number[] {
  const stepMs = spanMs / MAX_POINTS;
  // What a stay changes: whole stretches through `slopes`, its first and last in part.
  const levels = new Float64Array(MAX_POINTS + 1);
  const slopes = new Float64Array(MAX_POINTS + 2);
  for (const { startMs, endMs, gpus } of stays) {
    const start = (startMs - fromMs) / stepMs;
    const end = Math.min((endMs - fromMs) / stepMs, MAX_POINTS);
    const [first, last] = [Math.floor(start), Math.floor(end)];
    levels[first]! -= gpus * (start - first);
    levels[last]! += gpus * (end - last);
    slopes[first]! += gpus;
    slopes[last]! -= gpus;
  }
  let held = 0;
  return Array.from({ length: MAX_POINTS }, (_, i) => {
    held += slopes[i]!;
    return Math.max(0, (held + levels[i]!) / Math.max(1, capacity));
  });
}

function curve(name: string, levels: readonly number[], index: number): string {
  const [colour, dash] = STYLES[index % STYLES.length]!;
  const x = (i: number) => (LEFT + (i + 0.5) / MAX_POINTS * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const points = levels.map((level, i) => `${x(i)},${y(level).toFixed(1)}`).join(" ");
  const stroke = `fill="none" stroke="${colour}" stroke-width="1.5" stroke-linejoin="round"` +
    (dash === "" ? "" : ` stroke-dasharray="${dash}"`);
  const at = LEFT + index * 150;
  return [
    `<polyline ${stroke} points="${points}"/>`,
    `<line ${stroke} x1="${at}" y1="48" x2="${at + 28}" y2="48"/>`,
    text(at + 34, 52, name),
  ].join("\n");
}

function axes(spanMs: number): string[] {
  const [unit, unitMs] = spanMs > 3 * 86_400_000 ? ["days", 86_400_000] : ["hours", 3_600_000];
  const span = spanMs / Number(unitMs);
  const step = niceStep(span / 8);
  const parts: string[] = [];
  for (let share = 0; share <= 1; share += 0.25) {
    parts.push(rule(LEFT, y(share), WIDTH - RIGHT, y(share)));
    parts.push(text(LEFT - 8, y(share) + 4, `${share * 100} %`, 'text-anchor="end"'));
  }
  for (let at = 0; at <= span; at += step) {
    const x = LEFT + at / span * (WIDTH - LEFT - RIGHT);
    parts.push(rule(x, y(0), x, y(0) + 5));
    parts.push(text(x, y(0) + 20, String(Number(at.toPrecision(6))), 'text-anchor="middle"'));
  }
  const middle = `text-anchor="middle" transform="rotate(-90 14 ${y(0.5)})"`;
  const below = `${unit} since the first submission`;
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, below, 'text-anchor="middle"'));
  parts.push(text(14, y(0.5), "GPUs in use", middle));
  return parts;
}

function y(share: number): number {
  return HEIGHT - BOTTOM - Math.min(1, share) * (HEIGHT - TOP - BOTTOM);
}

/** 1, 2 or 5 times a power of ten, at least as large as `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= least) ?? power * 10;
}

function rule(x1: number, y1: number, x2: number, y2: number): string {
  const ends = [x1, y1, x2, y2].map((n) => n.toFixed(1));
  return `<line stroke="${INK}" stroke-opacity="0.4" x1="${ends[0]}" y1="${ends[1]}" ` +
    `x2="${ends[2]}" y2="${ends[3]}"/>`;
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes && ` ${attributes}`}>` +
    `${escapeXml(content)}</text>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeXml(content: string): string {
  return plain(content, 200).replace(/[&<>"']/g, (c) => ENTITIES[c] ?? c);
}
