export { type Collectives, LostReplicaError } from './collectives.ts';
export { missingGloo, type RendezvousStore } from './gloo/addon.ts';
export { connectGroup, type GroupOptions } from './gloo/connect-group.ts';
export { localGroup } from './local-group.ts';
export { singleReplica } from './single-replica.ts';
