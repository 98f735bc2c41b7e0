import { messageOf } from '@online-cnclip/foundation';
import { parse } from 'css-what';

/** Why a text is not a CSS selector that a browser would take; undefined where it is one. */
export function selectorError(text: string): string | undefined {
  try {
    const branches = parse(text);
    const empty = branches.length === 0 || branches.some((tokens) => tokens.length === 0);
    return empty ? 'empty' : undefined;
  } catch (error) {
    return messageOf(error);
  }
}
