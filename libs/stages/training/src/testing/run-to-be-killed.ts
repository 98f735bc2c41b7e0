// A process that trains with the fake step until it is killed, and prints each batch that it has trained on:
// `node run-to-be-killed.ts OPTIONS_AS_JSON`.
import { parseTrainingOptions } from '../options.ts';
import { train } from '../train.ts';
import { fakeRecall, fakeTraining } from './fake-training.ts';

const fake = fakeTraining();
fake.beforeResult = (step) => {
  process.stdout.write(`${step} ${fake.steps.at(-1)?.batch}\n`);
};
await train(parseTrainingOptions(JSON.parse(process.argv[2] ?? '{}')), {
  runtime: { name: 'onnxruntime', prepare: () => Promise.reject(), dispose: async () => {} },
  createTrainStep: fake.createTrainStep,
  recall: fakeRecall(),
});
