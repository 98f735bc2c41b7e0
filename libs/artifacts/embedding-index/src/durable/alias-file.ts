import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DataLossError, NotFoundError, writeFileAtomically } from '@online-cnclip/foundation';
import { z } from 'zod';

const FILE = 'aliases.json';

const aliasSchema = z.strictObject({ version: z.literal(1), aliases: z.record(z.string(), z.string()) });

/** Index by alias, in a file that is replaced whole. */
export class AliasFile {
  readonly #path: string;
  #aliases: ReadonlyMap<string, string>;

  private constructor(path: string, aliases: ReadonlyMap<string, string>) {
    this.#path = path;
    this.#aliases = aliases;
  }

  /** @throws DataLossError when it is damaged. */
  static async open(folder: string): Promise<AliasFile> {
    const path = join(folder, FILE);
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return new AliasFile(path, new Map());
    try {
      const { aliases } = aliasSchema.parse(JSON.parse(text));
      return new AliasFile(path, new Map(Object.entries(aliases)));
    } catch (cause) {
      throw new DataLossError('is damaged', { place: path, cause });
    }
  }

  get(alias: string): string | undefined {
    return this.#aliases.get(alias);
  }

  entries(): Iterable<[string, string]> {
    return this.#aliases.entries();
  }

  /** @returns the index that it led to before. */
  async set(alias: string, name: string): Promise<string | undefined> {
    const before = this.#aliases.get(alias);
    await this.#replace(new Map(this.#aliases).set(alias, name));
    return before;
  }

  /** @throws NotFoundError when there is no such alias. */
  async remove(alias: string): Promise<void> {
    const aliases = new Map(this.#aliases);
    if (!aliases.delete(alias)) throw new NotFoundError(`there is no alias ${alias}`);
    await this.#replace(aliases);
  }

  async #replace(aliases: ReadonlyMap<string, string>): Promise<void> {
    const content = { version: 1, aliases: Object.fromEntries(aliases) };
    await writeFileAtomically(this.#path, `${JSON.stringify(content, null, 2)}\n`);
    this.#aliases = aliases;
  }
}
