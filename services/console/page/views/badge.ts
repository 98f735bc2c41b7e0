import { h } from '../dom.ts';
import { named } from '../language.ts';

/** Which states are good, bad, or want somebody to do something; all others are neutral. */
const TONES: Readonly<Record<string, string>> = {
  completed: 'good',
  ready: 'good',
  leased: 'good',
  serving: 'good',
  ok: 'good',
  done: 'good',
  passed: 'good',
  refused: 'bad',
  running: 'active',
  starting: 'active',
  probing: 'active',
  new: 'active',
  'login-wait': 'attention',
  'login-scanned': 'attention',
  parked: 'attention',
  cooling: 'attention',
  stopping: 'attention',
  deferred: 'attention',
  'no-results': 'attention',
  failed: 'bad',
  broken: 'bad',
  expired: 'bad',
  suspect: 'bad',
  unreachable: 'bad',
  'not-serving': 'bad',
};

/** A state in the reader's language and the colour of its kind. */
export const badge = (family: string, state: string): HTMLElement =>
  h('span', { class: `badge ${TONES[state] ?? 'neutral'}`, 'data-state': state }, named(family, state));
