import { accessSync, constants, mkdirSync, readlinkSync, realpathSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, isAbsolute, relative, resolve, sep } from 'node:path';
import { FailedPreconditionError, InvalidInputError, messageOf, NotFoundError } from './errors.ts';

/**
 * The one folder that requests can name files in: every path of a request goes through here before the file system
 * hears of it.
 */
export class DataFolder {
  /** Absolute, without symbolic links. */
  readonly path: string;

  /**
   * The folder, made where it is not there yet.
   *
   * @param place the setting that names it.
   * @throws FailedPreconditionError when it cannot be made or written to.
   */
  static make(path: string, place: string): DataFolder {
    try {
      mkdirSync(path, { recursive: true });
      accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (cause) {
      throw new FailedPreconditionError(`cannot be used as a folder: ${messageOf(cause)}`, { place, cause });
    }
    return new DataFolder(path);
  }

  /** @throws NotFoundError when there is no folder of that path. */
  constructor(path: string) {
    try {
      this.path = realpathSync(path);
    } catch (cause) {
      throw new NotFoundError(`the data folder cannot be opened: ${messageOf(cause)}`, {
        place: path,
        cause,
      });
    }
  }

  /**
   * The absolute path of one given relative to the folder, whether there is anything or not; the folder itself too.
   *
   * @param place the field that gave it.
   * @throws InvalidInputError when it is empty, absolute, or leads out of the folder, be it through a symbolic link.
   */
  resolve(path: string, place: string): string {
    const absolute = this.#below(path, place);
    if (!this.#holds(nearestRealPath(absolute))) throw leadsOut(path, place);
    return absolute;
  }

  /**
   * The real path of an existing file, given relative to the folder.
   *
   * @param place the field that gave it.
   * @throws InvalidInputError as {@link resolve} does, and for what is no file (a folder, a pipe, a device);
   *   NotFoundError when there is no such file.
   */
  async existing(path: string, place: string): Promise<string> {
    // Looked at before the file system is asked: an error must not tell what lies outside.
    const absolute = this.#below(path, place);
    const missing = (cause: unknown): never => {
      throw new NotFoundError(`there is no file ${JSON.stringify(path)} in the data folder`, {
        place,
        cause,
      });
    };
    const real = await realpath(absolute).catch(missing);
    if (!this.#holds(real)) throw leadsOut(path, place);
    const found = await stat(real).catch(missing);
    // A slash at the end asks for a folder; and who opens a pipe waits for as long as nobody writes.
    if (!found.isFile() || /[/\\]$/.test(path)) throw refusal(path, 'is not a file', place);
    return real;
  }

  /** An absolute path below the folder as callers know it; any other path as it is. */
  relative(path: string): string {
    return this.#holds(path) ? relative(this.path, path) || '.' : path;
  }

  #below(path: string, place: string): string {
    if (path === '' || path.includes('\0')) throw refusal(path, 'is not a path', place);
    if (isAbsolute(path)) throw refusal(path, 'must be relative to the data folder', place);
    const absolute = resolve(this.path, path);
    if (!this.#holds(absolute)) throw leadsOut(path, place);
    return absolute;
  }

  #holds(path: string): boolean {
    // The root of a file system ends with its separator already.
    return path === this.path || path.startsWith(this.path.endsWith(sep) ? this.path : this.path + sep);
  }
}

const refusal = (path: string, reason: string, place: string): InvalidInputError =>
  new InvalidInputError(`${JSON.stringify(path)} ${reason}`, { place });

const leadsOut = (path: string, place: string): InvalidInputError =>
  refusal(path, 'leads out of the data folder', place);

/** As deep as Linux itself follows links. */
const MAX_LINKS = 40;

/**
 * The real path of the nearest ancestor that exists, with the rest appended. A link that leads nowhere counts by what it
 * says, for whoever writes to it creates that.
 */
function nearestRealPath(path: string, links = 0): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = resolve(path, '..');
    if (parent === path) return path;
    const target = links < MAX_LINKS ? linkTarget(path) : undefined;
    const here = nearestRealPath(parent, links);
    return target === undefined
      ? resolve(here, basename(path))
      : nearestRealPath(resolve(here, target), links + 1);
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
