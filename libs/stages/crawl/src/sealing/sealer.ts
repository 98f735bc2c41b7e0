import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { DataLossError, InvalidInputError, messageOf } from '@online-cnclip/foundation';

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
/** NIST SP 800-38D's length, for which GCM needs no further hashing. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** First byte of what is sealed: the layout version, nonce, tag, ciphertext. */
const LAYOUT = 1;
const HEAD_BYTES = 1 + NONCE_BYTES + TAG_BYTES;

/** What a sealed value is of: it opens as nothing else, so that no session's cookies pass for another's. */
export interface SealedSubject {
  readonly sessionId: bigint;
  /** Name and version of the content's form: `cookies/1`. */
  readonly schema: string;
}

/** Encrypts what is kept of sessions: AES-256-GCM, a random nonce each time, session id and schema authenticated. */
export class Sealer {
  readonly #key: Buffer;

  /** @throws InvalidInputError unless the key has 32 bytes. */
  constructor(key: Buffer, place = 'sealing key') {
    if (key.length !== KEY_BYTES)
      throw new InvalidInputError(`has ${key.length} bytes, not ${KEY_BYTES}`, { place });
    this.#key = key;
  }

  seal(subject: SealedSubject, plain: Uint8Array): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(associatedData(subject));
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
    return Buffer.concat([Buffer.from([LAYOUT]), nonce, cipher.getAuthTag(), sealed]);
  }

  /** @throws DataLossError when it was sealed with another key, for another subject, or was changed. */
  open(subject: SealedSubject, sealed: Buffer): Buffer {
    const place = `session ${subject.sessionId}`;
    if (sealed.length < HEAD_BYTES || sealed[0] !== LAYOUT)
      throw new DataLossError('what is kept of it is not sealed as expected', { place });
    const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
    const decipher = createDecipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(associatedData(subject));
    decipher.setAuthTag(sealed.subarray(1 + NONCE_BYTES, HEAD_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(HEAD_BYTES)), decipher.final()]);
    } catch (cause) {
      throw new DataLossError('what is kept of it was sealed with another key, or was changed', {
        place,
        cause,
      });
    }
  }
}

/**
 * Reads a key file: 32 bytes as they are, or 64 hexadecimal digits (`openssl rand -hex 32`).
 *
 * @throws InvalidInputError naming the file and its length.
 */
export async function loadSealer(path: string): Promise<Sealer> {
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (cause) {
    throw new InvalidInputError(`the key file cannot be read: ${messageOf(cause)}`, { place: path, cause });
  }
  const text = content.toString('latin1').trim();
  return new Sealer(/^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : content, path);
}

const associatedData = ({ sessionId, schema }: SealedSubject): Buffer =>
  Buffer.from(`online-cnclip ${schema} ${sessionId}`);
