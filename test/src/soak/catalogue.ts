import { globSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidInputError } from '@online-cnclip/foundation';
import type { Soak } from './soak.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

/** Every folder with a soak.ts is one. */
export const soakNames = (): string[] =>
  globSync('*/soak.ts', { cwd: FOLDER })
    .map((path) => basename(dirname(path)))
    .sort();

export async function loadSoak(name: string | undefined): Promise<Soak> {
  const names = soakNames();
  if (name === undefined || !names.includes(name))
    throw new InvalidInputError(`${name ?? 'nothing'} is no soak; there are ${names.join(', ')}`, {
      place: 'npm run soak -- NAME',
    });
  const { soak } = (await import(join(FOLDER, name, 'soak.ts'))) as { soak: Soak };
  if (soak.name !== name) throw new Error(`the soak in ${name}/ says that its name is ${soak.name}`);
  return soak;
}
