import { createLogger } from '@online-cnclip/foundation';
import type { Command } from 'commander';

/** The names of the command that the arguments are for, `run start`, without what is asked of it. */
function nameOf(program: Command, args: readonly string[]): string {
  const names = [program.name()];
  let command: Command | undefined = program;
  for (const arg of args) {
    command = command.commands.find((one) => one.name() === arg);
    if (!command) break;
    names.push(arg);
  }
  return names.join(' ');
}

/**
 * Runs a command as the root of a trace, where a collector is named; else as it is, without loading what traces.
 *
 * @param endpoint `http://127.0.0.1:4318`; undefined or empty for no trace.
 */
export async function runTraced(
  program: Command,
  args: readonly string[],
  endpoint: string | undefined,
): Promise<void> {
  const run = async () => void (await program.parseAsync(args, { from: 'user' }));
  if (!endpoint) return run();
  const { inSpan, startTracing } = await import('@online-cnclip/service-kit');
  const logger = createLogger('cnclip', 'warn');
  const tracing = await startTracing({ service: 'cnclip', endpoint, ratio: 1, logger });
  try {
    await inSpan(nameOf(program, args), {}, run);
  } finally {
    await tracing.close();
  }
}
