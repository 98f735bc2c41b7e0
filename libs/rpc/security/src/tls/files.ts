import { readFile } from 'node:fs/promises';
import { InvalidInputError, messageOf } from '@online-cnclip/foundation';

/** Paths of PEM files. */
export interface TlsFiles {
  /** The process's own certificate, those between it and the authority after it. */
  readonly certificate: string;
  readonly key: string;
  /** The authorities that the other side's certificate has to be from. */
  readonly authority: string;
  /** What the authority has revoked. */
  readonly revoked?: string | undefined;
}

export const pathsOf = ({ certificate, key, authority, revoked }: TlsFiles): readonly string[] => [
  certificate,
  key,
  authority,
  ...(revoked === undefined ? [] : [revoked]),
];

/** @throws InvalidInputError naming the file that cannot be read. */
export const readFiles = (paths: readonly string[]): Promise<Buffer[]> =>
  Promise.all(
    paths.map(async (path) => {
      try {
        return await readFile(path);
      } catch (cause) {
        throw new InvalidInputError(`cannot be read: ${messageOf(cause)}`, { place: path, cause });
      }
    }),
  );
