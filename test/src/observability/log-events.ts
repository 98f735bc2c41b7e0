import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface LogEvent {
  /** The line's `msg`; what differs from line to line is `…`. */
  readonly message: string;
  readonly level: string;
  /** Where it is written, from the root. */
  readonly file: string;
}

/** Code that no service runs. */
const NOT_OF_SERVICES =
  /\.test\.ts$|\/testing(\/|\.ts$)|-for-tests\.ts$|services\/(fixture-shop|launcher|cli)\//;
/** Lines of a run's own log in its folder, as the research code writes them. */
const OF_RUNS = /^libs\/stages\/training\//;
const CALL = /\b(?:logger|#logger|#audit)\??\.(info|warn|error|fatal)\(/g;
/** The last argument of the call, where it is text. */
const TEXT = /(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`),?\s*$/;

/** Every line that the services may log at info and above, from the sources. What is no text in them is left out. */
export function logEventsOf(root: string): LogEvent[] {
  const files = globSync(['libs/*/src/**/*.ts', 'libs/*/*/src/**/*.ts', 'services/*/src/**/*.ts'], {
    cwd: root,
  });
  return files
    .filter((file) => !NOT_OF_SERVICES.test(file) && !OF_RUNS.test(file))
    .flatMap((file) => eventsOfSource(readFileSync(join(root, file), 'utf8'), file));
}

export function eventsOfSource(source: string, file: string): LogEvent[] {
  return [...source.matchAll(CALL)].flatMap((call) => {
    const [, level = ''] = call;
    const text = argumentsAt(source, call.index + call[0].length);
    const [, single, double, template] = TEXT.exec(text) ?? [];
    const message = single ?? double ?? template?.replaceAll(/\$\{[^}]*\}/g, '…');
    return message === undefined ? [] : [{ message: message.replaceAll("\\'", "'"), level, file }];
  });
}

/** What is between the parentheses, of which the first lies before `start`. */
function argumentsAt(source: string, start: number): string {
  let depth = 1;
  for (let i = start; i < source.length; i++) {
    if ('([{'.includes(source[i] ?? '')) depth++;
    if (')]}'.includes(source[i] ?? '') && --depth === 0) return source.slice(start, i);
  }
  return '';
}
