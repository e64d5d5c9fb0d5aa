/**
 * What the commands take: the options of the service, and the parsers of option values.
 *
 * @module
 */
import { InvalidArgumentError } from "commander";
import { parseDuration } from "../cluster/duration.ts";

/** Least urgent first. */
export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
export type LogLevel = typeof LOG_LEVELS[number];

/** Where the page listens. */
export interface ListenAddress {
  readonly hostname: string;
  /** 0: any free port. */
  readonly port: number;
}

/** How the reconciler is to run; `start` and `once` fill it in, `runService` takes it. */
export interface ServiceOptions {
  /** URL or path of the state repository. */
  readonly repo: string;
  readonly branch: string;
  readonly stateDir: string;
  /** undefined: no page (`once` has none). */
  readonly listen?: ListenAddress;
  /** An ssh_config file instead of the user's own. */
  readonly sshConfig?: string;
  /** How often to poll, instead of the cluster's `policy`. */
  readonly pollMs?: number;
  readonly logLevel: LogLevel;
  /** True: one pass, then stop. */
  readonly once: boolean;
  /** True: wait until the controller at work has ended, then take its place. */
  readonly standby: boolean;
}

/** Options as commander gives them, before `serviceOptions` puts them in order. */
export interface RawServiceOptions {
  readonly repo: string;
  readonly branch: string;
  readonly stateDir: string;
  readonly listen?: ListenAddress;
  readonly sshConfig?: string;
  readonly poll?: number;
  readonly logLevel: LogLevel;
  readonly standby?: boolean;
}

/** Turns parsed options into those of the service. */
export function serviceOptions(raw: RawServiceOptions, once: boolean): ServiceOptions {
  const { repo, branch, stateDir, listen, sshConfig, poll, logLevel, standby = false } = raw;
  return {
    repo,
    branch,
    stateDir,
    ...(once || listen === undefined ? {} : { listen }),
    ...(sshConfig === undefined ? {} : { sshConfig }),
    ...(poll === undefined ? {} : { pollMs: poll }),
    logLevel,
    once,
    standby,
  };
}

/** `127.0.0.1:8420`, `[::1]:8420` or `localhost:0`. Throws where it is none. */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65535) {
    throw new InvalidArgumentError("Write HOST:PORT, such as 127.0.0.1:8420.");
  }
  return { hostname: match[1] ?? match[2] ?? "", port };
}

/** `5s`, `2m`. Throws where it is none, or shorter than 100 ms. */
export function parsePoll(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 100) {
    throw new InvalidArgumentError("Write a time of at least 100ms, such as 5s or 2m.");
  }
  return ms;
}

/** A repository as git takes it: not empty, and nothing that git would read as an option. */
export function parseRepo(text: string): string {
  if (text === "" || text.startsWith("-")) {
    throw new InvalidArgumentError("Write a URL or a path, such as git@forge:team/state.git.");
  }
  return text;
}

/** A branch name: what `git check-ref-format --branch` takes, and nothing that needs quoting. */
export function parseBranch(text: string): string {
  const ok = /^[A-Za-z0-9_][A-Za-z0-9_./-]*$/.test(text) && !/\.\.|\/\/|\.lock$|[./]$/.test(text);
  if (!ok) throw new InvalidArgumentError("Write the name of a branch, such as main.");
  return text;
}
