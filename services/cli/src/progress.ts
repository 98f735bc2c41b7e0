import { MultiBar, Presets } from 'cli-progress';

/** One stretch of work whose length is known. */
export interface ProgressTask {
  /** @param etaSeconds the worker's own estimate; without it the speed so far decides. */
  update(done: number, detail?: string, etaSeconds?: number): void;
  /** Ends the task as it is, finished or not. */
  end(): void;
}

export interface Progress {
  /** A line of its own. */
  note(line: string): void;
  /** One task at a time. */
  start(title: string, total: number): ProgressTask;
}

type Terminal = NodeJS.WritableStream & { readonly isTTY?: boolean | undefined };

/** Without a terminal: a line at most this often, so that a log stays readable. */
const PLAIN_INTERVAL_MS = 10_000;

/** A bar with an ETA on a terminal, plain lines anywhere else. */
export const createProgress = (stream: Terminal): Progress =>
  stream.isTTY ? barProgress(stream) : plainProgress(stream);

function barProgress(stream: NodeJS.WritableStream): Progress {
  let shown: MultiBar | undefined;
  return {
    note: (line) => void (shown ? shown.log(`${line}\n`) : stream.write(`${line}\n`)),
    start(title, total) {
      const eta = estimator(total);
      const format = `${title} {bar} {value}/{total}  {eta_text}  {detail}`;
      // The cursor stays: a process that is killed could not bring it back.
      const bars = new MultiBar(
        { stream, format, barsize: 30, hideCursor: false, gracefulExit: false },
        Presets.shades_classic,
      );
      const bar = bars.create(total, 0, { eta_text: '', detail: '' });
      shown = bars;
      return {
        update(done, detail = '', etaSeconds = eta(done)) {
          bar.update(done, { eta_text: etaText(etaSeconds), detail });
        },
        end() {
          bars.stop();
          shown = undefined;
        },
      };
    },
  };
}

function plainProgress(stream: NodeJS.WritableStream): Progress {
  const note = (line: string): void => void stream.write(`${line}\n`);
  return {
    note,
    start(title, total) {
      const eta = estimator(total);
      let lastAt = Date.now();
      return {
        update(done, detail = '', etaSeconds = eta(done)) {
          if (Date.now() - lastAt < PLAIN_INTERVAL_MS) return;
          lastAt = Date.now();
          note([`${title}: ${done}/${total}`, etaText(etaSeconds), detail].filter(Boolean).join(', '));
        },
        end() {},
      };
    },
  };
}

function estimator(total: number): (done: number) => number | undefined {
  const startedAt = Date.now();
  return (done) => (done > 0 ? (((Date.now() - startedAt) / 1000) * (total - done)) / done : undefined);
}

const etaText = (seconds: number | undefined): string =>
  seconds === undefined || !Number.isFinite(seconds) ? '' : `ETA ${formatSeconds(seconds)}`;

/** `8 s`, `2 min 05 s`, `3 h 07 min`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}
