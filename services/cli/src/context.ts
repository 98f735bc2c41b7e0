import type { ChildProcess } from 'node:child_process';
import type { ClientSecurity } from '@online-cnclip/client';
import type { Progress } from './progress.ts';
import type { ReplicaEnvironment } from './replicas.ts';

/** What a command gets of the process it runs in: commands never look at `process` themselves. */
export interface CliContext {
  /** The research code's DATAPATH, where it is set. */
  readonly dataPath: string | undefined;
  readonly progress: Progress;
  /** For the browser and the replicas that may be started, and nothing else. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What services are called with, by the environment. @throws InvalidInputError naming the variable or file that is wrong. */
  clientSecurity(): Promise<ClientSecurity>;
  /** Whether replicas may meet in plain text on another address than loopback, by the environment. */
  readonly allowPlaintext: boolean;
  /** Writes a line of the result, to standard output. */
  print(line: string): void;
  /**
   * The signal of Ctrl-C. A command that asks for it ends by itself, in order; a second Ctrl-C ends it at once. A command
   * that does not ask ends at the first.
   */
  stopSignal(): AbortSignal;
  /** This process among the replicas of a run, where the environment says so. @throws InvalidInputError for a variable that is wrong. */
  replica(): ReplicaEnvironment | undefined;
  /** Runs this command line once more, as a process of its own with piped output. */
  startSelf(args: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess;
  /** What becomes this process's exit status when the command ends without an error. */
  setExitCode(code: number): void;
}
