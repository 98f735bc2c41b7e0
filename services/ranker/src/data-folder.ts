import { realpathSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { isAbsolute, resolve, sep } from 'node:path';
import { InvalidInputError, NotFoundError } from '@online-cnclip/foundation';

/** The one folder whose files requests can name. */
export class DataFolder {
  /** Absolute, without symbolic links. */
  readonly path: string;

  /** @param path an existing folder. */
  constructor(path: string) {
    this.path = realpathSync(path);
  }

  /**
   * The absolute path of an existing file, given relative to the folder.
   *
   * @param place the field that gave it.
   * @throws InvalidInputError when it is empty, absolute, or leads out of the folder, be it through a symbolic link;
   *   NotFoundError when there is no such file.
   */
  async existing(path: string, place: string): Promise<string> {
    const refuse = (reason: string) => new InvalidInputError(`${JSON.stringify(path)} ${reason}`, { place });
    if (path === '' || path.includes('\0')) throw refuse('is not a path');
    if (isAbsolute(path)) throw refuse('must be relative to the data folder');
    const absolute = resolve(this.path, path);
    // Looked at before the file system is asked: an error must not tell what lies outside.
    if (!this.#holds(absolute)) throw refuse('leads out of the data folder');
    const real = await realpath(absolute).catch((cause: unknown) => {
      throw new NotFoundError(`there is no file ${JSON.stringify(path)}`, { place, cause });
    });
    if (!this.#holds(real)) throw refuse('leads out of the data folder');
    return real;
  }

  #holds(path: string): boolean {
    return path.startsWith(this.path + sep);
  }
}
