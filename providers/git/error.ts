/**
 * What is thrown when git could not do something.
 *
 * @module
 */

/** A call of git failed. `uncertain`: it was cut short, so it may have had its effect. */
export class GitError extends Error {
  override readonly name = "GitError";
  constructor(message: string, readonly uncertain: boolean, readonly stderr = "") {
    super(message);
  }
}
