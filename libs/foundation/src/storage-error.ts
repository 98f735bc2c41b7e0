import { type ApplicationError, FailedPreconditionError, ResourceExhaustedError } from './errors.ts';

/** What a disk says that takes no more, and a system that opens no more files. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EMFILE', 'ENFILE']);

/**
 * The same as liblmdb's errors have it, in Linux's words: ENOSPC, EDQUOT, EFBIG, and EIO, which it makes of a write that was
 * cut short. By their words: their numbers (`code: 5`) are other things elsewhere.
 */
const FULL_MESSAGES = new Set([
  'No space left on device',
  'Disk quota exceeded',
  'File too large',
  'Input/output error',
]);

/** What a disk says that is broken, or that this process may not use so. */
const REFUSED = new Set(['EIO', 'EROFS', 'EACCES', 'EPERM', 'ENOTDIR', 'EISDIR']);

/**
 * The error of a file system as one that says what to do, without the path, which may be nobody's business: it is in the
 * cause. Undefined for any other error.
 */
export function storageErrorOf(cause: unknown): ApplicationError | undefined {
  if (!(cause instanceof Error)) return undefined;
  if (FULL_MESSAGES.has(cause.message))
    return new ResourceExhaustedError(`the disk takes no more: ${cause.message}`, { cause });
  const { code = '', path, syscall = 'a call' } = cause as NodeJS.ErrnoException;
  if (FULL.has(code))
    return new ResourceExhaustedError(`the disk takes no more: ${code} of ${syscall}`, { cause });
  // A socket is refused by the same names; only files have a path.
  if (REFUSED.has(code) && path !== undefined)
    return new FailedPreconditionError(`the file system refuses: ${code} of ${syscall}`, { cause });
  return undefined;
}
