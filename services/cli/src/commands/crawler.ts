import { InvalidInputError } from '@online-cnclip/foundation';
import { FAILURE_REASONS, MAX_IMAGES_PER_QUERY } from '@online-cnclip/image-cache';
import { type Command, Option } from 'commander';
import { countOption } from '../arguments.ts';
import type { CliContext } from '../context.ts';
import { checkForBrowser } from '../crawler/check-for-browser.ts';
import { fetchQueries } from '../crawler/fetch-queries.ts';
import { listFailures } from '../crawler/list-failures.ts';
import { logIn } from '../crawler/log-in.ts';
import { listSessions, resolveSession, retireSession } from '../crawler/sessions.ts';
import { addressOption, SERVICE_ADDRESSES } from '../services.ts';

/** As many as test-time online learning uses. */
const DEFAULT_WANTED = 5;

const MAX_FAILURES = 1_000;

export function configure(command: Command, context: CliContext): void {
  command
    .command('check-browser')
    .description('Starts the browser of this machine, or says what to install.')
    .option(
      '--address <host:port>',
      `ask a running crawler about its machine, as ${SERVICE_ADDRESSES.crawler}`,
    )
    .option('--browser-path <file>', "the browser's executable [the first that is found]")
    .action((options) => checkForBrowser(options, context));
  const login = command
    .command('login')
    .description('Opens a session and shows the QR code to log it in with.')
    .option('--label <text>', 'what to call the session', '')
    .option('--session <id>', 'an expired session to log in again, instead of a new one', sessionId)
    .option('--barcode-dir <folder>', 'where barcode_N.png is written, N being the session', '.');
  addressOption(login, 'crawler').action((options) => logIn(options, context));
  const sessions = command
    .command('sessions')
    .description('Lists the sessions.')
    .option('--all', 'those too that have ended');
  addressOption(sessions, 'crawler').action((options) => listSessions(options, context));
  const resolve = command
    .command('resolve')
    .description('Says that a person has dealt with a parked or suspect session: it is tried again.')
    .argument('<session>', 'its number', sessionId);
  addressOption(resolve, 'crawler').action((id, options) => resolveSession(id, options, context));
  const retire = command
    .command('retire')
    .description('Ends a session for good and deletes its cookies.')
    .argument('<session>', 'its number', sessionId);
  addressOption(retire, 'crawler').action((id, options) => retireSession(id, options, context));
  configureFetch(command, context);
  const failures = command
    .command('failures')
    .description('Lists the queries that failed or were deferred, the latest first.')
    .addOption(new Option('--reason <name...>', 'only these').choices(FAILURE_REASONS));
  countOption(failures, '--limit <n>', 'at most', { most: MAX_FAILURES, initial: 100 });
  addressOption(failures, 'crawler').action((options) => listFailures(options, context));
}

function configureFetch(command: Command, context: CliContext): void {
  const fetch = command
    .command('fetch')
    .description('Fetches images for queries into the cache of the crawler.')
    .argument('[query...]', 'what to search for')
    .option(
      '--query-file <path>',
      'a file of queries: lines of text, or of {"text"} as in {split}_texts.jsonl',
    )
    .option('--refresh', 'ask the site even for what the cache has')
    .option('--output <folder>', 'write the images there, too: {query}/{n}.jpg');
  countOption(fetch, '--wanted <n>', 'images per query', {
    most: MAX_IMAGES_PER_QUERY,
    initial: DEFAULT_WANTED,
  });
  addressOption(fetch, 'crawler').action((queries, options) => fetchQueries(queries, options, context));
}

function sessionId(text: string): bigint {
  if (/^[1-9][0-9]{0,17}$/.test(text)) return BigInt(text);
  throw new InvalidInputError(`${JSON.stringify(text)} is no number of a session`, { place: 'session' });
}
