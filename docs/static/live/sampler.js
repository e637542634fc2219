// The sampler of the live pages: what genda.diffusion.process, samplers and guidance do, on flat arrays of numbers.
// A batch of n images is one Float32Array; alpha, sigma and eta are those of the course.

// n standard normal numbers that a seed and a stream name for good: mulberry32, then Box and Muller.
export function noise(seed, stream, n) {
  let state = Math.imul(seed, 0x9E3779B1) ^ Math.imul(stream + 1, 0x85EBCA6B);
  const uniform = () => {
    state = state + 0x6D2B79F5 | 0;
    let u = Math.imul(state ^ state >>> 15, state | 1);
    u = u + Math.imul(u ^ u >>> 7, u | 61) ^ u;
    return ((u ^ u >>> 14) >>> 0)/2**32;
  };
  const out = new Float32Array(n);
  for (let i = 0; i < n; i += 2) {
    const radius = Math.sqrt(-2*Math.log(1 - uniform())), angle = 2*Math.PI*uniform();
    out[i] = radius*Math.cos(angle);
    if (i + 1 < n) out[i + 1] = radius*Math.sin(angle);
  }
  return out;
}

export const lerp = (a, b, alpha) => a.map((v, i) => (1 - alpha)*v + alpha*b[i]);

// The point on the arc from a to b, each one vector.
export function slerp(a, b, alpha) {
  const norm = f => Math.sqrt(a.reduce((sum, _, i) => sum + f(i)**2, 0));
  const la = norm(i => a[i]), lb = norm(i => b[i]);
  const theta = 2*Math.atan2(norm(i => a[i]/la - b[i]/lb), norm(i => a[i]/la + b[i]/lb));
  if (theta < 1e-6) return lerp(a, b, alpha);
  const one = Math.sin((1 - alpha)*theta)/Math.sin(theta), two = Math.sin(alpha*theta)/Math.sin(theta);
  return a.map((v, i) => one*v + two*b[i]);
}

// x_t = alpha_t x_0 + sigma_t eps, from the table of alpha-bar.
export function vp(abar) {
  return {T: abar.length - 1, alpha: abar.map(Math.sqrt), sigma: abar.map(v => Math.sqrt(1 - v))};
}

// The steps that a sampling trajectory visits, from T to 0.
export function stepTimes(T, steps) {
  if (T % steps) throw new Error(`${steps} sampling steps do not divide ${T} steps evenly`);
  return Array.from({length: steps + 1}, (_, k) => T - k*T/steps);
}

// The clean image that a prediction amounts to, clipped.
export function toX0(pred, xt, alpha, sigma, predict) {
  const [a, b] = {eps: [0, 1], x0: [1, 0], v: [-sigma, alpha]}[predict], det = alpha*b - sigma*a;
  return xt.map((x, i) => Math.min(1, Math.max(-1, (b*x - sigma*pred[i])/det)));
}

// One step back from t to s: eta = 0 is DDIM, 1 is DDPM; z is standard normal noise.
export function step(xt, x0, {alpha, sigma}, t, s, eta, z) {
  const beta = sigma[t]**2 - (alpha[t]/alpha[s]*sigma[s])**2;
  const std = eta*sigma[s]/sigma[t]*Math.sqrt(beta), keep = Math.sqrt(Math.max(0, sigma[s]**2 - std**2));
  return xt.map((x, i) => alpha[s]*x0[i] + keep*(x - alpha[t]*x0[i])/sigma[t] + (std ? std*z[i] : 0));
}

// Classifier-free guidance: the network twice in one batch, with the condition and without; w = 0 needs the first only.
export const guided = (network, y, w) => async (xt, t) => {
  const n = y.length, twice = a => Array.from({length: 2}, () => [...a]).flat();
  if (!w) return network(xt, t, y, y.map(() => true));
  const both = await network(Float32Array.from(twice(xt)), t, twice(y), twice(y).map((_, i) => i < n));
  return xt.map((_, i) => (1 + w)*both[i] - w*both[i + xt.length]);
};

// What 64 bits make of an array of numbers.
function fingerprint(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let a = 0x811C9DC5, b = 0x9E3779B1;
  for (const v of bits) { a = Math.imul(a ^ v, 0x01000193); b = Math.imul(b ^ v, 0x85EBCA6B) ^ b >>> 13; }
  return `${a} ${b}`;
}

// A network that keeps its last `limit` answers, each to one image, and computes only the others.
// `count` says how many it has computed.
export function remembering(network, size, limit) {
  const kept = new Map();
  const remembered = async (xt, t, y, keep) => {
    const image = (a, j) => a.subarray(j*size, (j + 1)*size);
    const keys = y.map((v, j) => `${t} ${keep[j] ? v : 'none'} ${fingerprint(image(xt, j))}`);
    const missing = keys.flatMap((key, j) => kept.has(key) || keys.indexOf(key) < j ? [] : [j]);
    if (missing.length) {
      const asked = new Float32Array(missing.length*size), of = a => missing.map(j => a[j]);
      missing.forEach((j, i) => asked.set(image(xt, j), i*size));
      const answer = await network(asked, t, of(y), of(keep));
      missing.forEach((j, i) => kept.set(keys[j], answer.slice(i*size, (i + 1)*size)));
      remembered.count += missing.length;
    }
    const out = new Float32Array(xt.length);
    keys.forEach((key, j) => {
      const answer = kept.get(key);
      kept.delete(key); kept.set(key, answer);  // the last one to be forgotten
      out.set(answer, j*size);
    });
    for (const key of kept.keys()) if (kept.size > limit) kept.delete(key); else break;
    return out;
  };
  remembered.count = 0;
  return remembered;
}

// DDIM, frame by frame: {t, xt, x0} at each step visited, and the images at the end. eta holds one number per image;
// freshNoise(j, k, size) is the noise of image j in step k.
export async function* ddim(answer, process, predict, xT, {steps, eta, freshNoise}) {
  const times = stepTimes(process.T, steps), size = xT.length/eta.length;
  let xt = xT, x0;
  for (const [k, t] of times.slice(0, -1).entries()) {
    const s = times[k + 1];
    x0 = toX0(await answer(xt, t), xt, process.alpha[t], process.sigma[t], predict);
    yield {t, xt, x0};
    const image = (a, j) => a.subarray(j*size, (j + 1)*size);
    const next = eta.map((e, j) => step(image(xt, j), image(x0, j), process, t, s, e, e && freshNoise(j, k + 1, size)));
    if (s) { xt = new Float32Array(xt.length); next.forEach((v, j) => xt.set(v, j*size)); }
  }
  yield {t: 0, xt: x0, x0};
}

// Inpainting by replacement with resampling (RePaint), frame by frame: where hole is 0 the images are known. Each step is taken
// `resample` times, with as much noise added between as leads back to where it began.
export async function* inpaint(answer, process, predict, xT, {known, hole, n, steps, resample, freshNoise}) {
  const times = stepTimes(process.T, steps), size = xT.length/n, {alpha, sigma} = process;
  let stream = 0, xt = xT;
  const fresh = () => {
    const z = new Float32Array(xT.length);
    stream++;
    for (let j = 0; j < n; j++) z.set(freshNoise(j, stream, size), j*size);
    return z;
  };
  for (const [k, t] of times.slice(0, -1).entries()) for (let r = 1; r <= resample; r++) {
    const s = times[k + 1], x0 = toX0(await answer(xt, t), xt, alpha[t], sigma[t], predict);
    yield {t, xt, x0};
    const free = s ? step(xt, x0, process, t, s, 1, fresh()) : x0, noise = s ? fresh() : x0;
    const x = free.map((v, i) => hole[i % size] ? v : alpha[s]*known[i % size] + (s && sigma[s]*noise[i]));
    const ratio = alpha[t]/alpha[s], std = Math.sqrt(sigma[t]**2 - (ratio*sigma[s])**2), back = r < resample && fresh();
    xt = back ? x.map((v, i) => ratio*v + std*back[i]) : x;
  }
  yield {t: 0, xt, x0: xt};
}
