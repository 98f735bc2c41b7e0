// The one file that knows Milvus's client: plain requests and responses in and out, its errors as ours.
import { readFileSync } from 'node:fs';
import { FailedPreconditionError, InvalidInputError, messageOf } from '@online-cnclip/foundation';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { ATTRIBUTES_FIELD, ID_FIELD, VECTOR_FIELD } from './expression.ts';
import { callError, type MilvusStatus, requireSuccess } from './milvus-error.ts';
import type { MilvusConnectionOptions } from './options.ts';

/** Channels to Milvus; each carries many calls, one call holds one of them. */
const MAX_CHANNELS = 16;

/** Milvus's own default limit of a message. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What is used of a channel: a method per call of Milvus. */
type Channel = Readonly<
  Record<
    string,
    (
      request: object,
      options: { readonly deadline: Date },
      answer: (error: Error | null, response?: unknown) => void,
    ) => { cancel(): void }
  >
>;

/** Calls to a Milvus server, each with a deadline. A lost connection is taken up again by the next call. */
export class MilvusConnection {
  readonly #client: MilvusClient;
  readonly #timeoutMs: number;
  readonly #running = new Set<Promise<unknown>>();
  #closed = false;

  /** Connects with the first call. @throws InvalidInputError naming the file that cannot be read. */
  constructor(options: MilvusConnectionOptions) {
    this.#timeoutMs = options.timeoutMs;
    const token = options.tokenFile === undefined ? undefined : readFile(options.tokenFile).toString().trim();
    this.#client = new MilvusClient({
      address: options.address,
      timeout: options.timeoutMs,
      ...(options.database === undefined ? {} : { database: options.database }),
      ...(token === undefined ? {} : { token }),
      ...tlsOptions(options),
      // Callers decide on repeating a call; they know how long they can wait.
      maxRetries: 0,
      // It would report every call to the server.
      telemetry: { enabled: false },
      channelOptions: {
        'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
        'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
      },
      pool: { min: 0, max: MAX_CHANNELS },
      // It would call the server from the constructor, where nobody hears of a failure.
      __SKIP_CONNECT__: true,
      isGlobal: false,
    });
  }

  /**
   * One call.
   *
   * @returns the response, whose status is that of success.
   * @throws the error class that the status stands for, DeadlineExceededError after the time limit, the signal's reason.
   */
  async call<Response>(method: string, request: object, { signal }: CallOptions = {}): Promise<Response> {
    signal?.throwIfAborted();
    if (this.#closed) throw new FailedPreconditionError('the connection to Milvus is closed');
    const running = this.#send(method, request, signal);
    this.#running.add(running);
    try {
      const response = await running;
      requireSuccess(method, statusOf(response));
      return response as Response;
    } finally {
      this.#running.delete(running);
    }
  }

  /** A collection of items: id, vector and attributes. */
  async createCollection(
    name: string,
    { dimension, properties }: { readonly dimension: number; readonly properties: Record<string, string> },
  ): Promise<void> {
    const created = this.#client
      .createCollection({
        collection_name: name,
        // Servers that drop properties which they do not know keep this.
        description: JSON.stringify(properties),
        properties,
        consistency_level: 'Strong',
        enable_dynamic_field: false,
        timeout: this.#timeoutMs,
        fields: [
          { name: ID_FIELD, data_type: DataType.Int64, is_primary_key: true, autoID: false },
          { name: VECTOR_FIELD, data_type: DataType.FloatVector, dim: dimension },
          { name: ATTRIBUTES_FIELD, data_type: DataType.JSON },
        ],
      })
      // The client throws the status of a refused collection.
      .catch((error: unknown) => {
        if (error instanceof Error) throw callError('CreateCollection', error);
        return error as MilvusStatus;
      });
    requireSuccess('CreateCollection', await created);
  }

  /** Waits for the calls in flight, then closes the channels. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
    await this.#client.closeConnection();
  }

  async #send(method: string, request: object, signal: AbortSignal | undefined): Promise<unknown> {
    const pool = this.#client.channelPool;
    const channel = await pool.acquire();
    try {
      signal?.throwIfAborted();
      return await unary(channel as unknown as Channel, method, request, {
        signal,
        deadline: new Date(Date.now() + this.#timeoutMs),
      });
    } finally {
      await pool.release(channel);
    }
  }
}

function unary(
  channel: Channel,
  method: string,
  request: object,
  { signal, deadline }: { readonly signal: AbortSignal | undefined; readonly deadline: Date },
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const cancel = (): void => call?.cancel();
    const call = channel[method]?.(request, { deadline }, (error, response) => {
      signal?.removeEventListener('abort', cancel);
      if (!error) resolve(response);
      else reject(signal?.aborted ? signal.reason : callError(method, error));
    });
    signal?.addEventListener('abort', cancel, { once: true });
  });
}

/** Some responses are a status, others have one. */
function statusOf(response: unknown): MilvusStatus | undefined {
  const { status, error_code } = response as MilvusStatus & { readonly status?: MilvusStatus };
  return status ?? (error_code === undefined ? undefined : (response as MilvusStatus));
}

function tlsOptions(options: MilvusConnectionOptions): object {
  const { tlsCaFile, tlsCertificateFile, tlsKeyFile, tlsServerName } = options;
  if ((tlsCertificateFile === undefined) !== (tlsKeyFile === undefined))
    throw new InvalidInputError('a certificate needs its key and a key its certificate', {
      place: tlsKeyFile === undefined ? 'tlsKeyFile' : 'tlsCertificateFile',
    });
  if (tlsCaFile === undefined) {
    if (tlsCertificateFile !== undefined)
      throw new InvalidInputError('is needed beside a certificate of our own', { place: 'tlsCaFile' });
    return {};
  }
  return {
    ssl: true,
    tls: {
      rootCert: readFile(tlsCaFile),
      ...(tlsCertificateFile === undefined || tlsKeyFile === undefined
        ? {}
        : { certChain: readFile(tlsCertificateFile), privateKey: readFile(tlsKeyFile) }),
      ...(tlsServerName === undefined ? {} : { serverName: tlsServerName }),
    },
  };
}

function readFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new InvalidInputError(`cannot be read: ${messageOf(cause)}`, { place: path, cause });
  }
}
