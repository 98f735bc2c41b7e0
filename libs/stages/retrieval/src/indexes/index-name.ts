import { InvalidInputError } from '@online-cnclip/foundation';

/** No separators and no leading dot: a name is a file's name on every system and never another path. */
const INDEX_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** @throws InvalidInputError when it is not an index's name. */
export function requireIndexName(name: string, place = 'index'): string {
  if (INDEX_NAME.test(name)) return name;
  throw new InvalidInputError(
    `${JSON.stringify(name.slice(0, 100))} is not 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-', beginning with a letter or digit`,
    { place },
  );
}
