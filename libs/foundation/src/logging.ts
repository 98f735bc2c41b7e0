import { type DestinationStream, destination, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * A logger of JSON lines on standard error (standard output stays free for results).
 *
 * @param fields what each line is to hold besides, asked when it is written: the trace that it belongs to.
 */
export function createLogger(
  name: string,
  level: LogLevel = 'info',
  stream: DestinationStream = standardError(),
  fields?: () => object,
): Logger {
  const timestamp = pino.stdTimeFunctions.isoTime;
  return pino({ name, level, base: { name }, timestamp, ...(fields && { mixin: fields }) }, stream);
}

export const silentLogger: Logger = pino({ level: 'silent' });

/**
 * Written line by line, at once: lines that wait in a buffer can be overtaken by those written when the process ends.
 * When nobody reads the other end any more, what is logged is lost, and the service goes on.
 */
function standardError(): DestinationStream {
  const stream = destination({ fd: 2, sync: true });
  stream.on('error', () => {});
  return stream;
}
