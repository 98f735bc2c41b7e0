import { open } from 'node:fs/promises';
import { replaceFileAtomically } from '@online-cnclip/foundation';

/** Lines are gathered to this many characters before they are written. */
const WRITE_CHARACTERS = 1024 * 1024;

/**
 * Writes one line per item, replacing the file when it is complete.
 *
 * @param toLine gives the line with its end; `place` is where it will be.
 * @returns the number of lines.
 */
export async function writeLines<T>(
  path: string,
  items: Iterable<T> | AsyncIterable<T>,
  toLine: (item: T, place: string) => string,
): Promise<number> {
  let lines = 0;
  await replaceFileAtomically(path, async (temporaryPath) => {
    const file = await open(temporaryPath, 'w');
    try {
      let text = '';
      for await (const item of items) {
        lines += 1;
        text += toLine(item, `${path}:${lines}`);
        if (text.length < WRITE_CHARACTERS) continue;
        await file.writeFile(text);
        text = '';
      }
      await file.writeFile(text);
    } finally {
      await file.close();
    }
  });
  return lines;
}
