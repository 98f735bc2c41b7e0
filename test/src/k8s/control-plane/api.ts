import { request } from 'node:https';
import { text } from 'node:stream/consumers';

const MERGE_PATCH = 'application/merge-patch+json';

/** The API server's REST interface, for what is asked many times a second: a kubectl takes a process each. */
export class Api {
  readonly #port: number;
  readonly #token: string;

  constructor(port: number, token: string) {
    this.#port = port;
    this.#token = token;
  }

  get<T>(path: string): Promise<T> {
    return this.#call<T>('GET', path);
  }

  patch(path: string, body: unknown): Promise<unknown> {
    return this.#call('PATCH', path, body);
  }

  delete(path: string): Promise<unknown> {
    return this.#call('DELETE', path);
  }

  /** @throws Error with the server's answer unless it is a success. */
  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const call = request(
      {
        ...{ host: '127.0.0.1', port: this.#port, method, path, rejectUnauthorized: false },
        headers: { authorization: `Bearer ${this.#token}`, 'content-type': MERGE_PATCH },
      },
      async (response) => {
        const answer = await text(response);
        const { statusCode = 0 } = response;
        if (statusCode < 300) resolve(JSON.parse(answer));
        else reject(new Error(`${method} ${path}: ${statusCode} ${answer}`));
      },
    );
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
    return promise;
  }
}
