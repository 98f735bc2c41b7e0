import { realpathSync } from 'node:fs';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { InvalidInputError } from '@online-cnclip/foundation';

/** The one folder that requests can name files in. */
export class DataRoot {
  /** Absolute, without symbolic links. */
  readonly path: string;

  /** @param path an existing folder. */
  constructor(path: string) {
    this.path = realpathSync(path);
  }

  /**
   * The absolute path of one given relative to the root.
   *
   * @param place the field that gave it.
   * @throws InvalidInputError when it is empty, absolute, or leads out of the root, be it through a symbolic link.
   */
  resolve(path: string, place: string): string {
    const refuse = (reason: string) => new InvalidInputError(`${JSON.stringify(path)} ${reason}`, { place });
    if (path === '' || path.includes('\0')) throw refuse('is not a path');
    if (isAbsolute(path)) throw refuse('must be relative to the data folder');
    const absolute = resolve(this.path, path);
    if (!this.#holds(absolute) || !this.#holds(nearestRealPath(absolute)))
      throw refuse('leads out of the data folder');
    return absolute;
  }

  /** An absolute path below the root as callers know it; any other path as it is. */
  relative(path: string): string {
    return this.#holds(path) ? relative(this.path, path) || '.' : path;
  }

  #holds(path: string): boolean {
    return path === this.path || path.startsWith(this.path + sep);
  }
}

/** The real path of the nearest ancestor that exists, with the rest appended. */
function nearestRealPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = resolve(path, '..');
    return parent === path ? path : resolve(nearestRealPath(parent), relative(parent, path));
  }
}
