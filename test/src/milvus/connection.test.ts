import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { FailedPreconditionError, UnavailableError } from '@online-cnclip/foundation';
import { DEFAULT_MILVUS_OPTIONS, MilvusEngine, type MilvusEngineOptions } from '@online-cnclip/milvus-index';
import { initCertificates } from '@online-cnclip/security/certificates';

/** A message whose first field is an empty one: any response of Milvus whose status is success. */
const SUCCESS = Buffer.from([0x0a, 0x00]);
const TOKEN = 'root:a secret';

const folder = await mkdtemp(join(tmpdir(), 'milvus-tls-'));
await initCertificates(folder);
await initCertificates(join(folder, 'strangers'));
const servers: grpc.Server[] = [];
after(async () => {
  for (const server of servers) server.forceShutdown();
  await rm(folder, { recursive: true });
});
const file = (...path: string[]): string => join(folder, ...path);

/** A server with the ranker's certificate, that asks for one and for the token, and knows ShowCollections only. */
async function startServer(): Promise<{ readonly address: string; readonly authorizations: string[] }> {
  const authorizations: string[] = [];
  const server = new grpc.Server();
  server.addService(
    {
      ShowCollections: {
        path: '/milvus.proto.milvus.MilvusService/ShowCollections',
        requestStream: false,
        responseStream: false,
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    {
      ShowCollections: (call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) => {
        const authorization = String(call.metadata.get('authorization')[0] ?? '');
        authorizations.push(authorization);
        if (authorization === Buffer.from(TOKEN).toString('base64')) answer(null, SUCCESS);
        else answer({ code: grpc.status.UNAUTHENTICATED, details: 'who is it?' });
      },
    },
  );
  const pair = {
    cert_chain: await readFile(file('ranker', 'tls.crt')),
    private_key: await readFile(file('ranker', 'tls.key')),
  };
  const credentials = grpc.ServerCredentials.createSsl(await readFile(file('ca.crt')), [pair], true);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  servers.push(server);
  return { address: `127.0.0.1:${port}`, authorizations };
}

test('Milvus is spoken to by TLS, with a certificate and a token from files', async () => {
  const { address, authorizations } = await startServer();
  await writeFile(file('token'), `${TOKEN}\n`);
  await writeFile(file('wrong'), 'root:another\n');
  const right: MilvusEngineOptions = {
    ...DEFAULT_MILVUS_OPTIONS,
    address,
    maxItems: 1,
    timeoutMs: 20_000,
    tlsCaFile: file('ca.crt'),
    tlsCertificateFile: file('encoder', 'tls.crt'),
    tlsKeyFile: file('encoder', 'tls.key'),
    tokenFile: file('token'),
  };
  const list = async (options: Partial<MilvusEngineOptions>): Promise<unknown> => {
    const engine = new MilvusEngine({ ...right, ...options });
    return engine.list().finally(() => engine.close());
  };
  assert.deepEqual(await list({}), []);
  assert.deepEqual(authorizations, [Buffer.from(TOKEN).toString('base64')]);
  await assert.rejects(list({ tokenFile: file('wrong') }), FailedPreconditionError);
  await assert.rejects(list({ tokenFile: undefined }), FailedPreconditionError);
  const seen = authorizations.length;
  // Another authority than the server's, the server's name wrong, no certificate of ours, one of strangers, no TLS at all.
  await assert.rejects(list({ tlsCaFile: file('strangers', 'ca.crt') }), UnavailableError);
  await assert.rejects(list({ tlsServerName: 'elsewhere.example' }), UnavailableError);
  await assert.rejects(list({ tlsCertificateFile: undefined, tlsKeyFile: undefined }), UnavailableError);
  await assert.rejects(
    list({
      tlsCertificateFile: file('strangers', 'encoder', 'tls.crt'),
      tlsKeyFile: file('strangers', 'encoder', 'tls.key'),
    }),
    UnavailableError,
  );
  await assert.rejects(
    list({ tlsCaFile: undefined, tlsCertificateFile: undefined, tlsKeyFile: undefined }),
    UnavailableError,
  );
  assert.equal(authorizations.length, seen);
});
