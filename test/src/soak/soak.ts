import type { Children } from './children.ts';

/** What bounds a soak: its minutes, and counts of its own. Each can be given on the command line by its name in kebab-case. */
export type Bounds = Readonly<{ minutes: number } & Record<string, number>>;

export interface Figure {
  readonly name: string;
  readonly value: number;
  /** Empty for a plain count. */
  readonly unit: string;
  /** What the value must reach, for a person: `0`, `>= 0.9`. Absent where the figure only informs. */
  readonly target?: string;
  readonly met?: boolean;
}

export interface SoakContext<B extends Bounds> {
  readonly bounds: B;
  readonly minutes: number;
  /** Of every random choice: the same seed, the same choices. */
  readonly seed: number;
  /** When the minutes are over: a soak ends by itself then and reports what it has. */
  readonly timeUp: AbortSignal;
  /** Stop at once: interrupted, or far beyond its minutes. */
  readonly signal: AbortSignal;
  /** Of this run alone: data and the logs of services. Kept when a target was missed. */
  readonly folder: string;
  /** Starts services and other processes; whatever is left of them is killed when the soak ends. */
  readonly children: Children;
  /** A line for a person. */
  readonly tell: (line: string) => void;
}

/** A folder test/src/soak/NAME/ exports one as `soak` from its soak.ts; `npm run soak -- NAME` finds it there. */
export interface Soak<B extends Bounds = Bounds> {
  /** The folder's name. */
  readonly name: string;
  /** One line. */
  readonly description: string;
  readonly bounds: {
    /** In `npm test`: some 15 seconds. */
    readonly short: B;
    readonly default: B;
    /** With `--minutes N`: N minutes, and these counts. */
    readonly long: B;
  };
  run(context: SoakContext<B>): Promise<{ readonly figures: readonly Figure[] }>;
}

export const defineSoak = <B extends Bounds>(soak: Soak<B>): Soak<B> => soak;

/** Figures with a target; one that only informs is a plain {@link Figure}. */
export const atMost = (name: string, value: number, limit: number, unit = ''): Figure => ({
  name,
  value,
  unit,
  target: `<= ${limit}`,
  met: value <= limit,
});

export const atLeast = (name: string, value: number, limit: number, unit = ''): Figure => ({
  name,
  value,
  unit,
  target: `>= ${limit}`,
  met: value >= limit,
});

export const exactly = (name: string, value: number, wanted: number, unit = ''): Figure => ({
  name,
  value,
  unit,
  target: `${wanted}`,
  met: value === wanted,
});
