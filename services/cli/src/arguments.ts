import { flagOf } from '@online-cnclip/foundation';
import {
  DEVICES,
  type Device,
  RUNTIME_NAMES,
  type RuntimeChoice,
  type RuntimeName,
} from '@online-cnclip/runtime';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { z } from 'zod';

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

/** An option as its schema describes it. Its values are the schema's business, which names the option. */
export function schemaOption(name: string, schema: z.ZodType): Option {
  const { data: initial } = schema.safeParse(undefined);
  const description = schema.description ?? '';
  if (typeof initial === 'boolean') return new Option(flagOf(name), description);
  const shown = initial === undefined || initial === null ? '' : ` [${initial}]`;
  return new Option(`${flagOf(name)} <value>`, description + shown);
}

/** The number of threads to compute with. */
export const threadsOption = (command: Command): void =>
  countOption(command, '--threads <n>', 'ours: threads to compute with [as many as there are cores]', {
    most: 1024,
  });

/** What onnxruntime computes on. */
export const deviceOption = (command: Command): Command =>
  command.addOption(
    new Option('--device <name>', 'ours: what onnxruntime computes on').choices(DEVICES).default('cpu'),
  );

export interface RuntimeOptions {
  readonly runtime: RuntimeName;
  readonly device: Device;
  readonly tfjsNodeFolder?: string;
  readonly allowCpu?: boolean;
  readonly threads?: number;
}

/** What a training computes with, and on. */
export function runtimeOptions(command: Command): void {
  command.addOption(
    new Option('--runtime <name>', 'ours: what computes; tfjs-node-gpu is TensorFlow on a GPU')
      .choices(RUNTIME_NAMES)
      .default('onnxruntime'),
  );
  deviceOption(command)
    .option('--tfjs-node-folder <path>', 'ours: what `node scripts/build-tfjs-node.mjs gpu` printed')
    .option('--allow-cpu', 'ours: let tfjs-node-gpu compute on the CPU where it sees no GPU');
  threadsOption(command);
}

/** The part of a command's options that chooses the runtime, and the rest. */
export function takeRuntimeOptions<T extends object>(given: RuntimeOptions & T): readonly [RuntimeChoice, T] {
  const { runtime, device, tfjsNodeFolder, allowCpu, threads, ...rest } = given;
  const choice = {
    runtime,
    device,
    ...(tfjsNodeFolder === undefined ? {} : { tfjsNodeFolder }),
    ...(allowCpu === undefined ? {} : { allowCpu }),
    ...(threads === undefined ? {} : { threads }),
  };
  return [choice, rest as unknown as T];
}
