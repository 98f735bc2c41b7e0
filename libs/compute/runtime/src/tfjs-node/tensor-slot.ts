import { InvalidInputError, sizeOf } from '@online-cnclip/foundation';
import { fill, keep, reshape, type Tensor, tensor, tidy, zeros } from '@tensorflow/tfjs-core';
import type { DeviceArray } from '../program.ts';

/** A place on the device that one tensor after the other takes. */
class Slot {
  tensor: Tensor;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
  }

  /** Takes the tensor over and disposes of the one before. */
  replace(tensor: Tensor): void {
    this.tensor.dispose();
    this.tensor = tensor;
  }
}

/** A slot, seen in a shape. */
export class TensorSlot implements DeviceArray {
  readonly dtype = 'float32';
  readonly shape: readonly number[];
  readonly #slot: Slot;

  private constructor(slot: Slot, shape: readonly number[]) {
    this.#slot = slot;
    this.shape = shape;
  }

  static zeros(shape: readonly number[]): TensorSlot {
    return new TensorSlot(new Slot(keep(zeros([...shape]))), shape);
  }

  flat(): TensorSlot {
    return new TensorSlot(this.#slot, [sizeOf(this.shape)]);
  }

  /** What it holds now, in its shape: a tensor of the scope that it is called in. */
  view(): Tensor {
    return reshape(this.#slot.tensor, [...this.shape]);
  }

  /** Holds what the tensor holds from now on. */
  hold(tensor: Tensor): void {
    this.#slot.replace(tidy(() => keep(reshape(tensor, this.#slot.tensor.shape))));
  }

  async read(): Promise<Float32Array> {
    return (await this.#slot.tensor.data()) as Float32Array;
  }

  write(values: Float32Array): void {
    if (values.length !== sizeOf(this.shape))
      throw new InvalidInputError(`${values.length} values for the shape [${this.shape}]`);
    // A copy of its own: TFJS keeps the array that it is given until it is uploaded.
    this.#slot.replace(keep(tensor(values.slice(), this.#slot.tensor.shape)));
  }

  clear(): void {
    this.#slot.replace(keep(fill(this.#slot.tensor.shape, 0)));
  }

  dispose(): void {
    this.#slot.tensor.dispose();
  }
}
