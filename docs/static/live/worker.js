// Runs a network and the sampler beside the page, so that the page stays responsive. The newest request cancels the ones before it.
import * as ort from '../vendor/ort.wasm.bundle.min.mjs';
import {ddim, guided, inpaint, noise, remembering, vp} from './sampler.js';

// Several threads need headers that a server has to send; `make docs-serve` does.
// One core is left to the browser itself: on two, a second thread makes a picture slower.
const cores = Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1));
ort.env.wasm.numThreads = self.crossOriginIsolated ? cores : 1;

// ONNX Runtime lies there as gzip. A server that says so has it unpacked on the way already.
async function unpacked(address) {
  const answer = await fetch(address), data = await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  if (new Uint16Array(data, 0, 1)[0] !== 0x8B1F) return data;
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}
const runtime = unpacked(new URL('../vendor/ort-wasm-simd-threaded.wasm.gz', import.meta.url));

// A network keeps its answers, so that what a slider leaves as it is, such as the row of eta = 0, is
// not computed again.
const KEPT = 32e6;  // bytes of answers
const networks = {};
function network(name) {
  return networks[name] ??= (async () => {
    const at = file => new URL(`../networks/${file}`, import.meta.url).href;
    const known = fetch(at(`${name}.json`)).then(answer => answer.json());
    const [about, binary] = await Promise.all([known, runtime]);
    ort.env.wasm.wasmBinary = binary;
    // What the optimiser brings to these networks is less than the time it takes.
    const options = {executionProviders: ['wasm'], graphOptimizationLevel: 'disabled'};
    const session = await ort.InferenceSession.create(at(about.file), options);
    const condition = y => about.classes
      ? new ort.Tensor('int64', BigInt64Array.from(y, BigInt), [y.length])
      : new ort.Tensor('float32', Float32Array.from(y.flat()), [y.length, y[0].length]);
    const compute = async (xt, t, y, keep) => (await session.run({
      xt: new ort.Tensor('float32', xt, [y.length, ...about.shape]),
      t: new ort.Tensor('int64', new BigInt64Array(y.length).fill(BigInt(t)), [y.length]),
      y: condition(y), keep: new ort.Tensor('bool', Uint8Array.from(keep), [y.length]),
    })).answer.data;
    const size = about.shape.reduce((a, b) => a*b);
    return {about, answer: remembering(compute, size, KEPT/(4*size)), process: vp(about.abar)};
  })();
}

let newest = 0, queue = Promise.resolve();
const messagesFirst = () => new Promise(done => setTimeout(done));

// Post the frames of a trajectory as they come, each with the number of images that the network was
// evaluated for. After each evaluation a newer request ends it.
async function sample({id, name, y, xT, seeds, steps, eta, w, filling}) {
  const {about, answer, process} = await network(name);
  const freshNoise = (j, k, size) => noise(seeds[j], k, size);
  const unconditional = (xt, t) => answer(xt, t, y, y.map(() => false));
  const frames = !filling
    ? ddim(guided(answer, y, w), process, about.predict, xT, {steps, eta, freshNoise})
    : inpaint(filling.any ? unconditional : guided(answer, y, w), process, about.predict, xT,
              {...filling, n: y.length, steps, freshNoise});
  let before = answer.count;
  for await (const frame of frames) {
    const evaluated = answer.count - before;
    before = answer.count;
    postMessage({id, evaluated, ...frame});
    if (!evaluated) continue;
    await messagesFirst();
    if (id !== newest) return;
  }
}

onmessage = ({data}) => {
  if (data.load) return network(data.load).catch(() => {});  // a request will say what is wrong
  newest = data.id;
  queue = queue.then(() => data.id === newest && sample(data))
    .catch(error => postMessage({id: data.id, error: String(error)}));
};
