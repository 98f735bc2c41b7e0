export type { Fault, FaultRule } from './faults.ts';
export type { RecordedInput, RecordedRequest } from './record.ts';
