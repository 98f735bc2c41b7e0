export { type Collectives, LostReplicaError } from './collectives.ts';
export { localGroup } from './local-group.ts';
export { singleReplica } from './single-replica.ts';
