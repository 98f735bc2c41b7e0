import { FailedPreconditionError } from '@online-cnclip/foundation';

/** The part of an index that says what its vectors are of. */
export interface Space {
  readonly name: string;
  readonly fingerprint: string | undefined;
}

/**
 * Vectors of two models must not lie in one index, where they could not be told apart.
 *
 * @param fingerprint of the model that computed the vectors; undefined when that is not known.
 * @throws FailedPreconditionError naming both.
 */
export function requireSameSpace({ name, fingerprint: own }: Space, fingerprint: string | undefined): void {
  if (fingerprint === own) return;
  throw new FailedPreconditionError(
    `vectors of ${modelCalled(fingerprint)} cannot be mixed with those of index ${name}, which are of ${modelCalled(own)}`,
  );
}

/**
 * Queries of another model find nothing that means anything.
 *
 * @throws FailedPreconditionError naming both; not when one of the two is not known.
 */
export function requireComparable({ name, fingerprint: own }: Space, fingerprint: string | undefined): void {
  if (fingerprint === own || fingerprint === undefined || own === undefined) return;
  throw new FailedPreconditionError(
    `queries of ${modelCalled(fingerprint)} cannot be compared with the vectors of index ${name}, which are of ${modelCalled(own)}`,
  );
}

const modelCalled = (fingerprint: string | undefined): string =>
  fingerprint === undefined ? 'no known model' : `model ${fingerprint}`;
