import {
  AlreadyExistsError,
  type ApplicationError,
  CancelledError,
  DeadlineExceededError,
  FailedPreconditionError,
  InvalidInputError,
  NotFoundError,
  ResourceExhaustedError,
  UnavailableError,
  UnsupportedError,
} from '@online-cnclip/foundation';

/** The status within a response of Milvus, as its client hands it on. */
export interface MilvusStatus {
  /** The older code: its name, or its number where the client does not know it. */
  readonly error_code?: string | number;
  readonly code?: number;
  readonly reason?: string;
}

type ErrorClass = new (message: string, details?: { readonly cause?: unknown }) => ApplicationError;

/** Older codes that say more than the newer one beside them, or stand alone. */
const BY_NAME: Readonly<Record<string, ErrorClass>> = {
  CollectionNotExists: NotFoundError,
  IllegalArgument: InvalidInputError,
  IndexNotExist: NotFoundError,
  RateLimit: ResourceExhaustedError,
  ForceDeny: ResourceExhaustedError,
  DiskQuotaExhausted: ResourceExhaustedError,
  InsufficientMemoryToLoad: ResourceExhaustedError,
  NotReadyServe: UnavailableError,
  NoReplicaAvailable: UnavailableError,
  '4': NotFoundError,
  '6': InvalidInputError,
  '11': NotFoundError,
  '101': FailedPreconditionError,
};

/** Codes of Milvus 2.3 and later (its pkg/util/merr). */
const BY_CODE: Readonly<Record<number, ErrorClass>> = {
  1: UnavailableError, // service not ready
  2: UnavailableError, // service unavailable
  3: ResourceExhaustedError, // memory limit
  4: ResourceExhaustedError, // too many requests
  7: ResourceExhaustedError, // disk limit
  8: ResourceExhaustedError, // rate limit
  9: ResourceExhaustedError, // quota
  10: UnsupportedError, // unimplemented
  11: UnavailableError, // time tick delay
  12: ResourceExhaustedError, // resources insufficient
  100: NotFoundError, // collection
  101: FailedPreconditionError, // collection not loaded
  102: ResourceExhaustedError, // number of collections
  103: UnavailableError, // collection not fully loaded
  700: NotFoundError, // index
  800: NotFoundError, // database
  1100: InvalidInputError, // parameter invalid
  1101: InvalidInputError, // parameter missing
  1102: InvalidInputError, // parameter too large
  1600: NotFoundError, // alias
  1601: AlreadyExistsError, // alias with a collection's name
  1602: AlreadyExistsError, // alias
  10000: CancelledError,
  10001: DeadlineExceededError,
};

/** Answers without a code of their own. */
const BY_TEXT: readonly (readonly [RegExp, ErrorClass])[] = [
  [/already exist|duplicate collection/i, AlreadyExistsError],
  [/not loaded|call load\(\)/i, FailedPreconditionError],
  [/not found|does not exist/i, NotFoundError],
];

/** A call's whole failure: gRPC's own status codes. */
const BY_GRPC_CODE: Readonly<Record<number, ErrorClass>> = {
  1: CancelledError,
  3: InvalidInputError,
  4: DeadlineExceededError,
  7: FailedPreconditionError, // permission denied: of the credentials that we were given
  8: ResourceExhaustedError,
  12: UnsupportedError,
  14: UnavailableError,
  16: FailedPreconditionError, // unauthenticated
};

/** Throws what a status stands for, if it stands for an error. */
export function requireSuccess(method: string, status: MilvusStatus | undefined): void {
  // The client answers a method that the server does not have with an empty message.
  if (!status) throw new UnsupportedError(`Milvus has no ${method}`);
  const { error_code: name = 0, code = 0, reason = '' } = status;
  if (code === 0 && (name === 'Success' || Number(name) === 0)) return;
  const known =
    BY_NAME[name] ??
    BY_TEXT.find(([pattern]) => pattern.test(reason))?.[1] ??
    // 1 stands for anything in servers that give no codes; only with its text is it "not ready".
    (code === 1 && !/not ready/i.test(reason) ? undefined : BY_CODE[code]);
  const text = `Milvus refused ${method}: ${reason} (code ${code})`;
  if (known) throw new known(text);
  throw new Error(text);
}

/** The error for a call that failed as a whole. */
export function callError(method: string, cause: unknown): Error {
  const { code, details, message } = cause as { code?: unknown; details?: string; message?: string };
  const known = typeof code === 'number' ? BY_GRPC_CODE[code] : undefined;
  const text = `Milvus did not answer ${method}: ${details ?? message ?? String(cause)}`;
  return known ? new known(text, { cause }) : new Error(text, { cause });
}
