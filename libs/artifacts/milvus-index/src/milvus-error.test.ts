import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApplicationError } from '@online-cnclip/foundation';
import { callError, type MilvusStatus, requireSuccess } from './milvus-error.ts';

function kindOf(status: MilvusStatus | undefined): string {
  try {
    requireSuccess('Search', status);
    return 'success';
  } catch (error) {
    assert.match((error as Error).message, /Search/);
    return error instanceof ApplicationError ? error.kind : 'defect';
  }
}

test('what a status says decides on what a caller can do', () => {
  const statuses: readonly (readonly [MilvusStatus | undefined, string])[] = [
    [{ error_code: 'Success', code: 0 }, 'success'],
    [{}, 'success'],
    [undefined, 'unsupported'],
    [{ error_code: 'CollectionNotExists', code: 100, reason: 'collection not found' }, 'not-found'],
    [{ error_code: 'UnexpectedError', code: 101, reason: 'collection not loaded' }, 'failed-precondition'],
    [{ error_code: 101, code: 101, reason: 'call load() before search' }, 'failed-precondition'],
    [{ error_code: 'UnexpectedError', code: 1, reason: "alias 'x' already exists" }, 'already-exists'],
    [{ error_code: 'UnexpectedError', code: 65535, reason: 'duplicate collection' }, 'already-exists'],
    [{ error_code: 6, code: 6, reason: 'unexpected character' }, 'invalid-input'],
    [{ error_code: 'UnexpectedError', code: 1100, reason: 'invalid parameter' }, 'invalid-input'],
    [{ error_code: 'RateLimit', code: 8, reason: 'rate limit' }, 'resource-exhausted'],
    [{ error_code: 'ForceDeny', code: 9, reason: 'quota exceeded' }, 'resource-exhausted'],
    [{ error_code: 'UnexpectedError', code: 2, reason: 'service unavailable' }, 'unavailable'],
    [{ error_code: 'NotReadyServe', code: 1, reason: 'service not ready' }, 'unavailable'],
    [{ error_code: 'UnexpectedError', code: 1, reason: 'matmul: mismatch' }, 'defect'],
    [{ error_code: 'Success', code: 1, reason: 'only the newer code' }, 'defect'],
    [{ error_code: 'UnexpectedError', code: 2000, reason: 'segcore' }, 'defect'],
  ];
  for (const [status, kind] of statuses) assert.equal(kindOf(status), kind, JSON.stringify(status));
});

test('a call that fails as a whole is told by its gRPC status, with the cause kept', () => {
  const kinds = [
    [14, 'unavailable'],
    [4, 'deadline-exceeded'],
    [8, 'resource-exhausted'],
    [16, 'failed-precondition'],
    [1, 'cancelled'],
  ] as const;
  for (const [code, kind] of kinds) {
    const cause = Object.assign(new Error('x'), { code, details: 'connect ECONNREFUSED' });
    const error = callError('Search', cause);
    assert.ok(error instanceof ApplicationError && error.kind === kind, `${code}`);
    assert.match(error.message, /Search: connect ECONNREFUSED/);
    assert.equal(error.cause, cause);
  }
  assert.ok(!(callError('Search', Object.assign(new Error('x'), { code: 2 })) instanceof ApplicationError));
});
