/** One request to the shop, as it was received. */
export interface RecordedRequest {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly method: string;
  /** With its query string. */
  readonly path: string;
  readonly host: string;
  /** The log-in session's cookie; null without one. */
  readonly session: string | null;
  readonly userAgent: string | null;
}

/** Something that was done on a page that asks for a person. */
export interface RecordedInput {
  readonly at: number;
  readonly session: string | null;
  /** `click`, `keydown`. */
  readonly kind: string;
}

/** What happened at the shop, for tests to read. */
export interface ShopRecord {
  readonly requests: RecordedRequest[];
  readonly inputs: RecordedInput[];
  /** What `/mirror` saw of browsers, with the headers that came with it. */
  readonly reports: unknown[];
  addRequest(request: RecordedRequest): void;
  clear(): void;
}

/** A soak of 2,000 queries makes about 20,000 requests. */
const KEPT_REQUESTS = 200_000;

export function createRecord(): ShopRecord {
  const record: ShopRecord = {
    requests: [],
    inputs: [],
    reports: [],
    addRequest: (request) => {
      if (record.requests.length >= KEPT_REQUESTS) record.requests.shift();
      record.requests.push(request);
    },
    clear: () => {
      for (const list of [record.requests, record.inputs, record.reports]) list.length = 0;
    },
  };
  return record;
}
