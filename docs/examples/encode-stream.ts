// Embeds a stream of texts, answered as they are done; then gives up on one by a signal and on one by a deadline.
// node docs/examples/encode-stream.ts 127.0.0.1:50051
import { createEncoderClient } from '@online-cnclip/client';
import { errorOfItem } from '@online-cnclip/contracts';
import { EncodeRequest } from '@online-cnclip/contracts/encoder/v1';
import { CancelledError, DeadlineExceededError } from '@online-cnclip/foundation';

const [address = '127.0.0.1:50051'] = process.argv.slice(2);
const encoder = createEncoderClient(address);

function* texts(count: number): Generator<EncodeRequest> {
  for (let id = 0; id < count; id++)
    yield EncodeRequest.fromPartial({ itemId: BigInt(id), item: { $case: 'text', value: `第${id}件` } });
}

try {
  let done = 0;
  for await (const { itemId, embedding } of encoder.encode(texts(100))) {
    const error = errorOfItem(embedding?.status);
    if (error) console.log(`${itemId}: ${error.message}`);
    else done++;
  }
  console.log(`${done} embedded`);

  const giveUp = new AbortController();
  giveUp.abort();
  await encoder.getModel({}, { signal: giveUp.signal }).catch((error: unknown) => {
    if (error instanceof CancelledError) console.log('cancelled');
    else throw error;
  });
  await encoder.getModel({}, { deadline: new Date(0) }).catch((error: unknown) => {
    if (error instanceof DeadlineExceededError) console.log('too late');
    else throw error;
  });
} finally {
  encoder.close();
}
