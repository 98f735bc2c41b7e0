import { randomUUID } from 'node:crypto';

export type CodeState = 'waiting' | 'scanned' | 'confirmed' | 'expired';

/** A QR code that the log-in page shows. */
export interface LogInCode {
  readonly token: string;
  readonly state: CodeState;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

interface Session {
  readonly id: string;
  challenged: boolean;
}

/** Who is logged in, and who is about to be. Times are milliseconds since 1970. */
export interface Sessions {
  issueCode(): LogInCode;
  code(token: string): LogInCode | undefined;
  /** As the phone does: the first time it scans, the second time it confirms. */
  scan(token: string): LogInCode | undefined;
  /** The session of a confirmed code, given out once. */
  redeem(token: string): string | undefined;
  /** A new session. @returns its id */
  logIn(): string;
  isLoggedIn(id: string | undefined): id is string;
  /** Of every session where none is named. @returns how many there were. */
  logOut(id?: string): number;
  challenge(id: string): void;
  isChallenged(id: string | undefined): boolean;
  /** As a person does who answers it; of every session where none is named. @returns how many there were. */
  answerChallenges(id?: string): number;
  readonly waitingCodes: readonly LogInCode[];
}

export interface SessionOptions {
  readonly codeLifetimeMs: number;
  readonly now?: () => number;
}

/** Codes and sessions beyond these are forgotten, oldest first. */
const KEPT_CODES = 1_000;

export function createSessions({ codeLifetimeMs, now = Date.now }: SessionOptions): Sessions {
  const codes = new Map<string, { state: CodeState; expiresAt: number }>();
  const sessions = new Map<string, Session>();
  const logIn = (): string => {
    const id = randomUUID();
    sessions.set(id, { id, challenged: false });
    return id;
  };
  const look = (token: string): LogInCode | undefined => {
    const code = codes.get(token);
    if (code === undefined) return undefined;
    if (code.state !== 'confirmed' && now() >= code.expiresAt) code.state = 'expired';
    return { token, ...code };
  };
  return {
    issueCode: () => {
      const token = randomUUID();
      codes.set(token, { state: 'waiting', expiresAt: now() + codeLifetimeMs });
      if (codes.size > KEPT_CODES) codes.delete(codes.keys().next().value ?? '');
      return look(token) as LogInCode;
    },
    code: look,
    scan: (token) => {
      const state = look(token)?.state;
      const code = codes.get(token);
      if (code === undefined) return undefined;
      if (state === 'waiting') code.state = 'scanned';
      else if (state === 'scanned') code.state = 'confirmed';
      return look(token);
    },
    redeem: (token) => {
      if (look(token)?.state !== 'confirmed') return undefined;
      codes.delete(token);
      return logIn();
    },
    logIn,
    isLoggedIn: (id): id is string => id !== undefined && sessions.has(id),
    logOut: (id) => {
      const leaving = id === undefined ? [...sessions.keys()] : [id];
      return leaving.filter((one) => sessions.delete(one)).length;
    },
    challenge: (id) => {
      const session = sessions.get(id);
      if (session !== undefined) session.challenged = true;
    },
    isChallenged: (id) => id !== undefined && (sessions.get(id)?.challenged ?? false),
    answerChallenges: (id) => {
      const answered = [...sessions.values()].filter(
        (session) => session.challenged && (id === undefined || session.id === id),
      );
      for (const session of answered) session.challenged = false;
      return answered.length;
    },
    get waitingCodes() {
      return [...codes.keys()]
        .map((token) => look(token) as LogInCode)
        .filter(({ state }) => state === 'waiting' || state === 'scanned');
    },
  };
}
