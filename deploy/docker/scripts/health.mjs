// node health.mjs PORT [SERVICE]: exits with 0 when grpc.health.v1 on this machine's PORT says SERVING, else with 1 and the reason.
// `node health.mjs PORT /PATH` asks an HTTP server instead, `https:/PATH` one with a certificate. Without a gRPC library: a container's probe runs every few seconds, and
// loading one takes longer than the question.
import { connect } from 'node:http2';
import { get } from 'node:https';

const [port, name = ''] = process.argv.slice(2);
const TIMEOUT_MS = 5_000;
const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
/** Uncompressed message: one byte of flags, four of length. */
const FRAME_BYTES = 5;

if (!/^\d{1,5}$/.test(port ?? '') || name.length > 0x7f)
  end('usage: health.mjs PORT [SERVICE | [https:]/PATH]');
setTimeout(() => end(`no answer within ${TIMEOUT_MS} ms`), TIMEOUT_MS).unref();
if (name.startsWith('/')) checkHttp();
else if (name.startsWith('https:/')) checkHttps();
else checkGrpc();

function end(problem) {
  if (problem) console.error(`health: ${problem}`);
  process.exit(problem ? 1 : 0);
}

function checkHttp() {
  fetch(`http://127.0.0.1:${port}${name}`).then(
    ({ ok, status }) => end(ok ? undefined : `HTTP ${status}`),
    (error) => end(error.cause?.message ?? error.message),
  );
}

/** Whose certificate it is does not matter: it is the container's own loopback. */
function checkHttps() {
  const url = `https://127.0.0.1:${port}${name.slice('https:'.length)}`;
  get(url, { rejectUnauthorized: false }, ({ statusCode }) =>
    end(statusCode === 200 ? undefined : `HTTP ${statusCode}`),
  ).on('error', (error) => end(error.message));
}

function checkGrpc() {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', (error) => end(error.message));
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const chunks = [];
  let status;
  const readStatus = (headers) => {
    status = headers['grpc-status'] ?? status;
  };
  stream.on('response', readStatus);
  stream.on('trailers', readStatus);
  stream.on('data', (chunk) => chunks.push(chunk));
  stream.on('error', (error) => end(error.message));
  stream.on('close', () => {
    if (status !== '0') end(`gRPC status ${status ?? 'missing'}`);
    const message = Buffer.concat(chunks).subarray(FRAME_BYTES);
    // Field 1 of HealthCheckResponse, an enum: its tag and its value; a value of 0 is left out.
    const serving = message[0] === 0x08 ? message[1] : 0;
    end(serving === 1 ? undefined : (STATUSES[serving] ?? `status ${serving}`));
  });
  // HealthCheckRequest: field 1, the service's name.
  const request = name === '' ? Buffer.alloc(0) : Buffer.from([0x0a, name.length, ...Buffer.from(name)]);
  const frame = Buffer.alloc(FRAME_BYTES);
  frame.writeUInt32BE(request.length, 1);
  stream.end(Buffer.concat([frame, request]));
}
