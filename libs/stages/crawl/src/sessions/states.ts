/** Where a session is in its life. */
export const SESSION_STATES = [
  'NEW',
  'LOGIN_WAIT',
  'LOGIN_SCANNED',
  'PROBING',
  'READY',
  'LEASED',
  'COOLING',
  'PARKED',
  'EXPIRED',
  'SUSPECT',
  'RETIRED',
] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/**
 * Every transition there is; each state may also end as RETIRED, which is final.
 *
 * PROBING is also where a session goes whose browser died, whose lease ran out, or that was there before a restart.
 */
const TRANSITIONS: Readonly<Record<SessionState, readonly SessionState[]>> = {
  NEW: ['LOGIN_WAIT', 'PROBING', 'PARKED'],
  LOGIN_WAIT: ['LOGIN_WAIT', 'LOGIN_SCANNED', 'PROBING', 'PARKED', 'EXPIRED'],
  LOGIN_SCANNED: ['LOGIN_WAIT', 'PROBING', 'PARKED', 'EXPIRED'],
  PROBING: ['PROBING', 'READY', 'PARKED', 'EXPIRED', 'SUSPECT'],
  READY: ['LEASED', 'PROBING'],
  LEASED: ['READY', 'COOLING', 'PARKED', 'EXPIRED', 'PROBING'],
  COOLING: ['READY', 'PROBING'],
  PARKED: ['PROBING'],
  EXPIRED: ['EXPIRED', 'LOGIN_WAIT', 'PROBING', 'PARKED'],
  SUSPECT: ['PROBING'],
  RETIRED: [],
};

export const canBecome = (from: SessionState, to: SessionState): boolean =>
  from !== 'RETIRED' && (to === 'RETIRED' || TRANSITIONS[from].includes(to));
