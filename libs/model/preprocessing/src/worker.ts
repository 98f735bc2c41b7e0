// What a worker thread runs. Plain data in and out: an error's class would not survive the way back.
import { InvalidInputError } from '@online-cnclip/foundation';
import { move } from 'piscina';
import { type PreprocessOptions, preprocess } from './preprocess.ts';

export interface WorkerTask {
  readonly file: Uint8Array;
  readonly resolution: number;
  readonly options: PreprocessOptions;
}

export interface Refusal {
  readonly reason: string;
  readonly place: string | undefined;
}

/** Pixels, or why the file was refused. Anything else that goes wrong is thrown. */
export type WorkerResult = Float32Array<ArrayBuffer> | Refusal;

export default async function run({ file, resolution, options }: WorkerTask): Promise<WorkerResult> {
  try {
    // Typed as what can be moved; it arrives as the array itself.
    return move(await preprocess(file, resolution, options)) as unknown as WorkerResult;
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    const { message, place } = error;
    return { reason: place === undefined ? message : message.slice(place.length + 2), place };
  }
}
