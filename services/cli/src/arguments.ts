import { type Command, InvalidArgumentError, Option } from 'commander';

// Values of options, checked where they are read: commander names the option, these say what is wrong.

/** Counts stay where they are exact and fit whatever they are given to. */
const MAX_COUNT = 2 ** 31 - 1;

/** A whole number within bounds. */
export const wholeNumber =
  (least: number, most = MAX_COUNT) =>
  (text: string): number => {
    const value = Number(text);
    if (/^-?[0-9]+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It has to be a whole number from ${least} to ${most}.`);
  };

/** `0.5,1.25,...` */
export function numberList(text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (values.every(Number.isFinite)) return values;
  throw new InvalidArgumentError('It has to be numbers with commas between them.');
}

/** `train,valid,test` */
export function nameList(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.every(Boolean)) return names;
  throw new InvalidArgumentError('It has to be names with commas between them.');
}

/** Adds an option that takes a whole number. */
export function countOption(
  command: Command,
  flags: string,
  description: string,
  { least = 1, most, initial }: { least?: number; most?: number; initial?: number } = {},
): void {
  const option = new Option(flags, description).argParser(wholeNumber(least, most));
  command.addOption(initial === undefined ? option : option.default(initial));
}

/** The number of threads to compute with. */
export const threadsOption = (command: Command): void =>
  countOption(command, '--threads <n>', 'ours: threads to compute with [as many as there are cores]', {
    most: 1024,
  });
