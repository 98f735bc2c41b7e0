import { InvalidInputError, type NamedArrays, type NdArray, sizeOf } from '@online-cnclip/foundation';
import { sharedZeros } from '@online-cnclip/runtime';

/** Names that the research code exempts from weight decay. */
const NO_DECAY = /bn|ln|bias|logit_scale/;

export interface ArenaEntry {
  readonly name: string;
  readonly shape: readonly number[];
  /** First element of the tensor in the arena. */
  readonly start: number;
  readonly length: number;
}

/** Which element of an arena each tensor begins at: tensors without weight decay first, each group without gaps. */
export interface ArenaLayout {
  readonly entries: readonly ArenaEntry[];
  readonly length: number;
  /** Where the tensors with weight decay begin. */
  readonly decayStart: number;
}

export function layOut(specs: ReadonlyMap<string, readonly number[]>): ArenaLayout {
  const names = [...specs.keys()];
  const ordered = [
    ...names.filter((name) => NO_DECAY.test(name)),
    ...names.filter((name) => !NO_DECAY.test(name)),
  ];
  let [start, decayStart] = [0, 0];
  const entries = ordered.map((name) => {
    const shape = specs.get(name) ?? [];
    const entry = { name, shape, start, length: sizeOf(shape) };
    start += entry.length;
    if (NO_DECAY.test(name)) decayStart = start;
    return entry;
  });
  return { entries, length: start, decayStart };
}

/** Many tensors in one stretch of shared memory, so that an optimizer can run over it in pieces of any size. */
export class Arena {
  readonly layout: ArenaLayout;
  readonly data: Float32Array;
  readonly tensors: ReadonlyMap<string, NdArray<'float32'>>;

  constructor(layout: ArenaLayout) {
    this.layout = layout;
    this.data = sharedZeros([layout.length]).data;
    this.tensors = new Map(
      layout.entries.map(({ name, shape, start, length }) => [
        name,
        { dtype: 'float32', shape, data: this.data.subarray(start, start + length) },
      ]),
    );
  }

  /** A run of elements, as a view. */
  slice(start: number, end: number): NdArray<'float32'> {
    return { dtype: 'float32', shape: [end - start], data: this.data.subarray(start, end) };
  }

  /** Copies tensors in. @throws InvalidInputError naming one that is missing or of another shape. */
  load(source: NamedArrays, what: string): void {
    for (const [name, target] of this.tensors) {
      const array = source.get(name);
      if (!array) throw new InvalidInputError(`${what} of "${name}" is missing`);
      if (array.dtype !== 'float32' || array.shape.join() !== target.shape.join())
        throw new InvalidInputError(
          `${what} of "${name}" is ${array.dtype}[${array.shape}], float32[${target.shape}] expected`,
        );
      target.data.set(array.data as Float32Array);
    }
  }
}
