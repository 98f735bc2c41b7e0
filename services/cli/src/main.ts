// Composition root of the command line: the only file of it that reads the environment.
import type { CliContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { createProgram, withDashes } from './program.ts';
import { createProgress } from './progress.ts';
import { describeFailure } from './report-error.ts';
import { listenForStop } from './stop-signal.ts';

const { DATAPATH, DEBUG } = process.env;
let stop: AbortSignal | undefined;

const context: CliContext = {
  dataPath: DATAPATH || undefined,
  environment: process.env,
  progress: createProgress(process.stderr),
  print: (line) => void process.stdout.write(`${line}\n`),
  stopSignal() {
    stop ??= listenForStop(process);
    return stop;
  },
};

// Whoever reads the output may have seen enough (`| head`).
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});

const [first = '', ...others] = process.argv.slice(2);
try {
  const program = await createProgram(context, first);
  await program.parseAsync([first, ...others.map(withDashes)].filter(Boolean), { from: 'user' });
  process.exitCode = stop?.aborted ? EXIT.interrupted : EXIT.ok;
} catch (error) {
  const { exitCode, text } = describeFailure(error, Boolean(DEBUG));
  if (text !== undefined) console.error(text);
  process.exitCode = exitCode;
}
