// Builds the control plane ahead of the tests: no test's time limit is long enough for it.
import { controlPlaneBinary, mustRun } from './binary.ts';

const binary = controlPlaneBinary(process.env);
if (binary.kind === 'absent') {
  const required = mustRun(process.env);
  console.log(`${required ? 'failed' : 'test:k8s will be skipped'}: ${binary.reason}`);
  if (required) process.exitCode = 1;
}
