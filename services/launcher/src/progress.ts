import { Presets, SingleBar } from 'cli-progress';

/** One stretch of work whose length is known. */
export interface ProgressTask {
  /** @param etaSeconds the worker's own estimate; without it the task's speed so far decides. */
  update(done: number, detail?: string, etaSeconds?: number): void;
  finish(detail?: string): void;
}

export interface Progress {
  /** A line of its own. */
  note(line: string): void;
  start(title: string, total: number): ProgressTask;
}

interface Terminal {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

const TITLE_WIDTH = 10;
/** Without a terminal: a line at most this often, so that a log stays readable. */
const PLAIN_INTERVAL_MS = 10_000;

/** Bars with an ETA on a terminal, plain lines anywhere else. */
export function createProgress(stream: Terminal & NodeJS.WritableStream): Progress {
  const note = (line: string): void => void stream.write(`${line}\n`);
  return {
    note,
    start: stream.isTTY ? (...task) => startBar(stream, ...task) : (...task) => startLines(note, ...task),
  };
}

function startBar(stream: NodeJS.WritableStream, title: string, total: number): ProgressTask {
  const startedAt = Date.now();
  const bar = new SingleBar(
    {
      stream,
      format: `${title.padEnd(TITLE_WIDTH)} {bar} {percentage}%  {eta_text}  {detail}`,
      barsize: 30,
      hideCursor: true,
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0, { eta_text: '', detail: '' });
  return {
    update(done, detail = '', etaSeconds = estimate(startedAt, done, total)) {
      bar.update(done, { eta_text: etaText(etaSeconds), detail });
    },
    finish(detail = '') {
      bar.update(total, { eta_text: `took ${formatSeconds((Date.now() - startedAt) / 1000)}`, detail });
      bar.stop();
    },
  };
}

function startLines(note: (line: string) => void, title: string, total: number): ProgressTask {
  const startedAt = Date.now();
  let lastAt = startedAt;
  note(`${title}: ${total} to do`);
  return {
    update(done, detail = '', etaSeconds = estimate(startedAt, done, total)) {
      if (Date.now() - lastAt < PLAIN_INTERVAL_MS) return;
      lastAt = Date.now();
      const percent = Math.floor((100 * done) / Math.max(1, total));
      note([`${title}: ${percent} %`, etaText(etaSeconds), detail].filter(Boolean).join(', '));
    },
    finish(detail = '') {
      const took = `done in ${formatSeconds((Date.now() - startedAt) / 1000)}`;
      note([`${title}: ${took}`, detail].filter(Boolean).join(', '));
    },
  };
}

function estimate(startedAt: number, done: number, total: number): number | undefined {
  return done > 0 ? (((Date.now() - startedAt) / 1000) * (total - done)) / done : undefined;
}

const etaText = (seconds: number | undefined): string =>
  seconds === undefined || !Number.isFinite(seconds) ? '' : `ETA ${formatSeconds(seconds)}`;

/** `8 s`, `2 min 05 s`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}
