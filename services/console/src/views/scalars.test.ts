import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionState } from '@online-cnclip/contracts/crawler/v1';
import { enumName, fieldsOf } from './scalars.ts';

test('values of an enum have the contract’s names without their prefix', () => {
  const name = (value: number) => enumName(SessionState, 'SESSION_STATE_', value);
  assert.equal(name(SessionState.SESSION_STATE_LOGIN_WAIT), 'login-wait');
  assert.equal(name(0), 'unknown');
  assert.equal(name(99), 'unknown', 'a value of a later contract');
});

test('any message becomes its fields as text', () => {
  const message = {
    step: 12n,
    verdict: { passed: false, drop: 0.25, at: new Date(0), unset: undefined, png: Buffer.alloc(3) },
    names: ['a', 'b'],
    empty: '',
  };
  assert.deepEqual(fieldsOf(message), {
    step: '12',
    'verdict.passed': 'false',
    'verdict.drop': '0.25',
    'verdict.at': '1970-01-01T00:00:00.000Z',
    'verdict.png': '3 bytes',
    'names.0': 'a',
    'names.1': 'b',
  });
});
