// TFJS's kernel gradients are registered by this package's entry point and by no other that Node can load:
// tfjs-core's own node bundle leaves them out.
import '@tensorflow/tfjs';
