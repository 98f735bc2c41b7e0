// A collector of OpenTelemetry as small as one can be: takes OTLP over HTTP on loopback and keeps the spans.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BinaryReader } from '@bufbuild/protobuf/wire';

export interface CollectedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentId: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number;
  readonly startNanoseconds: bigint;
  readonly endNanoseconds: bigint;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  /** 0 unset, 2 error. */
  readonly statusCode: number;
}

export interface FakeCollector {
  readonly endpoint: string;
  readonly spans: readonly CollectedSpan[];
  /** Resolves when there is a span for which it holds. */
  waitFor(holds: (span: CollectedSpan) => boolean): Promise<CollectedSpan>;
  close(): void;
}

/** @param delayMs before it answers; Infinity: never. */
export async function startFakeCollector(delayMs = 0): Promise<FakeCollector> {
  const spans: CollectedSpan[] = [];
  let arrived = Promise.withResolvers<void>();
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    if (request.url !== '/v1/traces' || request.headers['content-type'] !== 'application/x-protobuf') {
      response.writeHead(404).end();
      return;
    }
    spans.push(...readExport(Buffer.concat(parts)));
    arrived.resolve();
    arrived = Promise.withResolvers();
    if (Number.isFinite(delayMs)) setTimeout(() => response.writeHead(200).end(), delayMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    async waitFor(holds) {
      for (;;) {
        const found = spans.find(holds);
        if (found) return found;
        await arrived.promise;
      }
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

type Fields = ReadonlyMap<number, readonly (Uint8Array | bigint | number)[]>;

/** A message's fields by number; what is nested stays bytes. */
function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, (Uint8Array | bigint | number)[]>();
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const value =
      wireType === 2
        ? reader.bytes()
        : wireType === 1
          ? BigInt(reader.fixed64())
          : wireType === 5
            ? reader.fixed32()
            : BigInt(reader.int64());
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

const messages = (fields: Fields, field: number): Fields[] =>
  (fields.get(field) ?? []).map((bytes) => fieldsOf(bytes as Uint8Array));
const bytesAt = (fields: Fields, field: number): Buffer =>
  Buffer.from((fields.get(field)?.[0] as Uint8Array) ?? []);
const numberAt = (fields: Fields, field: number): bigint => BigInt((fields.get(field)?.[0] as bigint) ?? 0n);

/** opentelemetry/proto/collector/trace/v1/trace_service.proto, ExportTraceServiceRequest. */
function readExport(bytes: Buffer): CollectedSpan[] {
  return messages(fieldsOf(bytes), 1).flatMap((resourceSpans) => {
    const service = String(
      messages(resourceSpans, 1).map((resource) => attributesOf(resource, 1))[0]?.['service.name'],
    );
    return messages(resourceSpans, 2)
      .flatMap((scopeSpans) => messages(scopeSpans, 2))
      .map((span) => readSpan(service, span));
  });
}

function readSpan(service: string, span: Fields): CollectedSpan {
  return {
    service,
    traceId: bytesAt(span, 1).toString('hex'),
    spanId: bytesAt(span, 2).toString('hex'),
    parentId: bytesAt(span, 4).toString('hex'),
    name: bytesAt(span, 5).toString(),
    kind: Number(numberAt(span, 6)),
    startNanoseconds: numberAt(span, 7),
    endNanoseconds: numberAt(span, 8),
    attributes: attributesOf(span, 9),
    statusCode: Number(messages(span, 15).map((status) => numberAt(status, 3))[0] ?? 0),
  };
}

function attributesOf(fields: Fields, field: number): Record<string, string | number | boolean> {
  return Object.fromEntries(
    messages(fields, field).map((pair) => [bytesAt(pair, 1).toString(), anyValueOf(messages(pair, 2)[0])]),
  );
}

function anyValueOf(any: Fields | undefined): string | number | boolean {
  if (any?.has(2)) return numberAt(any, 2) === 1n;
  if (any?.has(3)) return Number(numberAt(any, 3));
  const double = any?.get(4)?.[0];
  if (typeof double === 'bigint') return new Float64Array(BigUint64Array.of(double).buffer)[0] ?? Number.NaN;
  return any ? bytesAt(any, 1).toString() : '';
}
