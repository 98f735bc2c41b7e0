import { readFile } from 'node:fs/promises';
import { InvalidInputError, messageOf, NotFoundError } from '@online-cnclip/foundation';

/**
 * Queries of a file: one a line, or `{"text"}` a line as in `{split}_texts.jsonl`. Empty lines are skipped.
 *
 * @throws NotFoundError, InvalidInputError naming the line.
 */
export async function readQueryFile(path: string): Promise<string[]> {
  const content = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new NotFoundError(`cannot be read: ${messageOf(cause)}`, { place: path, cause });
  });
  return content.split('\n').flatMap((line, i) => {
    const text = line.trim();
    if (text === '') return [];
    return text.startsWith('{') ? textOf(text, `${path}:${i + 1}`) : text;
  });
}

function textOf(line: string, place: string): string {
  let text: unknown;
  try {
    text = (JSON.parse(line) as { text?: unknown }).text;
  } catch (cause) {
    throw new InvalidInputError(`is not JSON: ${messageOf(cause)}`, { place, cause });
  }
  if (typeof text !== 'string') throw new InvalidInputError('has no "text"', { place });
  return text;
}
