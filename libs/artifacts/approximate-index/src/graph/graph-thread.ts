// The thread that owns one graph: usearch blocks the thread that calls it, which must not be the one that answers calls.
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '@online-cnclip/foundation';
import { NativeIndex } from './native-index.ts';
import type { GraphRequest, GraphResponse, GraphThreadData } from './protocol.ts';

const port = parentPort;
if (!port) throw new Error('graph-thread.ts runs as a worker thread only');
const index = new NativeIndex(workerData as GraphThreadData);

function answer(request: GraphRequest): Omit<GraphResponse, 'size'> {
  switch (request.kind) {
    case 'search':
      return index.search(request.queries, request.wanted);
    case 'replace':
      index.replace(request.ids, request.vectors);
      return {};
    case 'remove':
      index.remove(request.ids);
      return {};
    default:
      index[request.kind](request.path);
      return {};
  }
}

port.on('message', (request: GraphRequest) => {
  try {
    const response = answer(request);
    const buffers = [response.ids?.buffer, response.counts?.buffer].filter((buffer) => buffer !== undefined);
    port.postMessage({ ...response, size: index.size } satisfies GraphResponse, buffers);
  } catch (error) {
    port.postMessage({ error: messageOf(error), size: index.size } satisfies GraphResponse);
  }
});
