// Composition root of the command line: the only file of it that reads the environment.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type ClientSecurity, clientSecurityOf } from '@online-cnclip/client';
import type { CliContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { createProgram, withDashes } from './program.ts';
import { createProgress } from './progress.ts';
import { replicaEnvironmentOf } from './replicas.ts';
import { describeFailure } from './report-error.ts';
import { listenForStop } from './stop-signal.ts';
import { runTraced } from './trace.ts';

const { DATAPATH, DEBUG, ONLINE_CNCLIP_ALLOW_PLAINTEXT, OTEL_EXPORTER_OTLP_ENDPOINT } = process.env;
let security: Promise<ClientSecurity> | undefined;
let stop: AbortSignal | undefined;
let exitCode: number = EXIT.ok;

const context: CliContext = {
  dataPath: DATAPATH || undefined,
  environment: process.env,
  progress: createProgress(process.stderr),
  clientSecurity() {
    security ??= clientSecurityOf(process.env);
    return security;
  },
  allowPlaintext: ONLINE_CNCLIP_ALLOW_PLAINTEXT === 'true',
  print: (line) => void process.stdout.write(`${line}\n`),
  stopSignal() {
    stop ??= listenForStop(process);
    return stop;
  },
  replica: () => replicaEnvironmentOf(process.env),
  // The channel tells a replica that its launcher is gone.
  startSelf: (args, environment) =>
    fork(fileURLToPath(import.meta.url), [...args], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    }),
  setExitCode(code) {
    exitCode = code;
  },
};

if (process.channel) {
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}

// Whoever reads the output may have seen enough (`| head`).
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});

const [first = '', ...others] = process.argv.slice(2);
try {
  const program = await createProgram(context, first);
  const args = [first, ...others.map(withDashes)].filter(Boolean);
  await runTraced(program, args, OTEL_EXPORTER_OTLP_ENDPOINT);
  process.exitCode = stop?.aborted ? EXIT.interrupted : exitCode;
} catch (error) {
  const failure = describeFailure(error, Boolean(DEBUG));
  if (failure.text !== undefined) console.error(failure.text);
  process.exitCode = failure.exitCode;
}
