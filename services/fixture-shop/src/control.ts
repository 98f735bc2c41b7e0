import { InvalidInputError } from '@online-cnclip/foundation';
import { z } from 'zod';
import { type Faults, faultRuleSchema } from './faults.ts';
import { type Exchange, readBody, sendJson } from './http.ts';
import type { ShopRecord } from './record.ts';
import type { Sessions } from './sessions.ts';

export interface ControlParts {
  readonly faults: Faults;
  readonly record: ShopRecord;
  readonly sessions: Sessions;
  readonly origin: () => string;
}

export const CONTROL_PATH = '/control/';

const rulesSchema = z.strictObject({ rules: z.array(faultRuleSchema) });
const answerSchema = z.strictObject({ session: z.string().optional() });

/**
 * What tests and the demo steer the shop with. Not part of the shop: nothing here is recorded.
 *
 * - `GET codes`: the QR codes that wait for a phone, with the address that each one holds.
 * - `POST phone`: scans and confirms every code that waits, as its owner's phone would by opening that address twice.
 * - `PUT faults` `{rules}`, `GET faults`: what goes wrong from now on; how often each has.
 * - `GET requests`, `GET inputs`, `GET reports`, `DELETE record`.
 * - `POST answer` `{session?}`: answers challenges, as a person would. `POST log-out` `{session?}`.
 * - `POST log-in`: a session's cookie value without a QR code.
 */
export async function answerControl(exchange: Exchange, parts: ControlParts): Promise<void> {
  const { faults, record, sessions } = parts;
  const call = `${exchange.request.method} ${exchange.url.pathname.slice(CONTROL_PATH.length)}`;
  switch (call) {
    case 'GET codes':
      return sendJson(exchange, { codes: waitingCodes(parts) });
    case 'POST phone':
      return sendJson(exchange, { confirmed: confirmAll(sessions) });
    case 'POST log-in':
      return sendJson(exchange, { session: sessions.logIn() });
    case 'PUT faults':
      faults.set((await readJson(exchange, rulesSchema)).rules);
      return sendJson(exchange, {});
    case 'GET faults':
      return sendJson(exchange, { hits: faults.hits });
    case 'GET requests':
      return sendJson(exchange, { requests: record.requests });
    case 'GET inputs':
      return sendJson(exchange, { inputs: record.inputs });
    case 'GET reports':
      return sendJson(exchange, { reports: record.reports });
    case 'DELETE record':
      record.clear();
      return sendJson(exchange, {});
    case 'POST answer': {
      const { session } = await readJson(exchange, answerSchema);
      return sendJson(exchange, { answered: sessions.answerChallenges(session) });
    }
    case 'POST log-out': {
      const { session } = await readJson(exchange, answerSchema);
      return sendJson(exchange, { loggedOut: sessions.logOut(session) });
    }
    default:
      return sendJson(exchange, { error: `no such call: ${call}` }, 404);
  }
}

function waitingCodes({ sessions, origin }: ControlParts) {
  return sessions.waitingCodes.map((code) => ({ ...code, url: codeAddress(origin(), code.token) }));
}

/** What a QR code holds. */
export const codeAddress = (origin: string, token: string): string => `${origin}/member/phone?token=${token}`;

function confirmAll(sessions: Sessions): number {
  const waiting = sessions.waitingCodes;
  for (const { token } of waiting) while (sessions.scan(token)?.state === 'scanned');
  return waiting.length;
}

async function readJson<T>(exchange: Exchange, schema: z.ZodType<T>): Promise<T> {
  const text = await readBody(exchange);
  let raw: unknown;
  try {
    raw = JSON.parse(text === '' ? '{}' : text);
  } catch (cause) {
    throw new InvalidInputError('is not JSON', { place: 'body', cause });
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InvalidInputError(issue?.message ?? 'is not what the call takes', {
    place: issue?.path.join('.') || 'body',
  });
}
