// Flow matching in the plane, in plain JavaScript: a small network, its gradient, Adam, and Euler's method.
// Points are flat arrays [x, y, x, y, ...]; x_u = (1 - u) x_0 + u eps, and the network learns the velocity eps - x_0.

// Uniform and normal numbers that a seed names for good: mulberry32, then Box and Muller.
export function random(seed) {
  let state = Math.imul(seed + 1, 0x9E3779B1);
  const uniform = () => {
    state = state + 0x6D2B79F5 | 0;
    let z = Math.imul(state ^ state >>> 15, state | 1);
    z = z + Math.imul(z ^ z >>> 7, z | 61) ^ z;
    return ((z ^ z >>> 14) >>> 0)/2**32;
  };
  const normal = out => {
    for (let i = 0; i < out.length; i += 2) {
      const radius = Math.sqrt(-2*Math.log(1 - uniform())), angle = 2*Math.PI*uniform();
      out[i] = radius*Math.cos(angle);
      if (i + 1 < out.length) out[i + 1] = radius*Math.sin(angle);
    }
    return out;
  };
  return {uniform, normal};
}

// C[i, j] = start + sum over k of A[i, k] B[j, k], for m by n entries. Each matrix is [array, offset, step of its row, step of k].
// Four by four sums at once stay in registers, which is several times as fast as one after the other.
function multiply(C, at, row, [A, a0, ai, ak], [B, b0, bj, bk], m, n, K) {
  const whole = n - n % 4;
  for (let i = 0; i + 3 < m; i += 4) for (let j = 0; j < whole; j += 4) {
    let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
    let p = a0 + i*ai, q = b0 + j*bj;
    for (let k = 0; k < K; k++, p += ak, q += bk) {
      const u0 = A[p], u1 = A[p + ai], u2 = A[p + 2*ai], u3 = A[p + 3*ai];
      const v0 = B[q], v1 = B[q + bj], v2 = B[q + 2*bj], v3 = B[q + 3*bj];
      s00 += u0*v0; s01 += u0*v1; s02 += u0*v2; s03 += u0*v3;
      s10 += u1*v0; s11 += u1*v1; s12 += u1*v2; s13 += u1*v3;
      s20 += u2*v0; s21 += u2*v1; s22 += u2*v2; s23 += u2*v3;
      s30 += u3*v0; s31 += u3*v1; s32 += u3*v2; s33 += u3*v3;
    }
    const c = at + i*row + j, d = c + row, e = d + row, f = e + row;
    C[c] = s00; C[c + 1] = s01; C[c + 2] = s02; C[c + 3] = s03;
    C[d] = s10; C[d + 1] = s11; C[d + 2] = s12; C[d + 3] = s13;
    C[e] = s20; C[e + 1] = s21; C[e + 2] = s22; C[e + 3] = s23;
    C[f] = s30; C[f + 1] = s31; C[f + 2] = s32; C[f + 3] = s33;
  }
  const rest = m - m % 4;
  for (let i = 0; i < m; i++) for (let j = i < rest ? whole : 0; j < n; j++) {
    let sum = 0;
    for (let k = 0, p = a0 + i*ai, q = b0 + j*bj; k < K; k++, p += ak, q += bk) sum += A[p]*B[q];
    C[at + i*row + j] = sum;
  }
}

// What the network is told of a point and its time: the point, and waves of place and of time.
const PLACE = [0.5, 1, 2], TIME = [0.25, 0.5, 1, 2];
export const INPUTS = 2 + 4*PLACE.length + 2*TIME.length + 2;
export function features(x, u, out) {
  for (let b = 0, i = 0; b < u.length; b++) {
    for (let d = 0; d < 2; d++) {
      const place = x[2*b + d];
      out[i++] = place;
      for (const f of PLACE) { out[i++] = Math.sin(Math.PI*f*place); out[i++] = Math.cos(Math.PI*f*place); }
    }
    out[i++] = u[b];
    out[i++] = 1 - u[b];
    for (const f of TIME) { out[i++] = Math.sin(2*Math.PI*f*u[b]); out[i++] = Math.cos(2*Math.PI*f*u[b]); }
  }
  return out;
}

// SiLU of x, and its slope.
function silu(x, out, slope) {
  for (let i = 0; i < x.length; i++) {
    const s = 1/(1 + Math.exp(-x[i]));
    out[i] = x[i]*s;
    slope[i] = s*(1 + x[i]*(1 - s));
  }
}

// A network of linear layers with SiLU between them. Its weights are one array in the order of PyTorch's parameters():
// of each layer the matrix, row by row, then the bias.
export class Network {
  constructor(width, seed, layers = 3) {
    this.sizes = [INPUTS, ...Array(layers).fill(width), 2];
    this.layers = [];
    let length = 0;
    for (let l = 1; l < this.sizes.length; l++) {
      const n = this.sizes[l - 1], m = this.sizes[l];
      this.layers.push({n, m, w: length, bias: length + m*n});
      length += m*n + m;
    }
    this.w = new Float64Array(length);
    this.gradient = new Float64Array(length);
    const {uniform} = random(seed);
    for (const {n, m, w} of this.layers) for (let i = 0; i < m*n + m; i++) this.w[w + i] = (2*uniform() - 1)/Math.sqrt(n);
    this.room = 0;
  }

  // Arrays for a batch of b points: what goes into each layer, what comes out, the slope of SiLU there, and the gradient.
  reserve(b) {
    if (b === this.room) return;
    this.room = b;
    this.into = this.layers.map(({n}) => new Float64Array(b*n));
    this.out = this.layers.map(({m}) => new Float64Array(b*m));
    this.slope = this.layers.map(({m}) => new Float64Array(b*m));
    this.backOut = this.layers.map(({m}) => new Float64Array(b*m));
  }

  // The velocities at points x, a time u for each. The array that comes back is used again by the next call.
  forward(x, u) {
    const b = u.length;
    this.reserve(b);
    features(x, u, this.into[0]);
    this.layers.forEach(({n, m, w, bias}, l) => {
      const out = this.out[l], next = this.into[l + 1];
      multiply(out, 0, m, [this.into[l], 0, n, 1], [this.w, w, n, 1], b, m, n);
      for (let i = 0; i < out.length; i += m) for (let j = 0; j < m; j++) out[i + j] += this.w[bias + j];
      if (next) silu(out, next, this.slope[l]);
    });
    return this.out.at(-1);
  }

  // The loss of a batch, the mean square of velocity minus target, and its gradient by backpropagation.
  backward(x, u, target) {
    const answer = this.forward(x, u), b = u.length, last = this.layers.length - 1;
    let loss = 0;
    for (let i = 0; i < answer.length; i++) {
      const error = answer[i] - target[i];
      loss += error*error/answer.length;
      this.backOut[last][i] = 2*error/answer.length;
    }
    for (let l = last; l >= 0; l--) {
      const {n, m, w, bias} = this.layers[l], back = this.backOut[l], gradient = this.gradient;
      multiply(gradient, w, n, [back, 0, 1, m], [this.into[l], 0, 1, n], m, n, b);
      for (let i = 0; i < m; i++) {
        let sum = 0;
        for (let k = i; k < back.length; k += m) sum += back[k];
        gradient[bias + i] = sum;
      }
      if (!l) break;
      const before = this.backOut[l - 1], slope = this.slope[l - 1];
      multiply(before, 0, n, [back, 0, m, 1], [this.w, w, 1, n], b, n, m);
      for (let i = 0; i < before.length; i++) before[i] *= slope[i];
    }
    return loss;
  }
}

// Adam, as PyTorch's.
export class Adam {
  constructor(network) {
    this.network = network;
    this.mean = new Float64Array(network.w.length);
    this.square = new Float64Array(network.w.length);
    this.steps = 0;
  }

  step(rate, beta1 = .9, beta2 = .999, tiny = 1e-8) {
    const {w, gradient} = this.network, {mean, square} = this;
    this.steps++;
    const scale = rate/(1 - beta1**this.steps), whole = 1/(1 - beta2**this.steps);
    for (let i = 0; i < w.length; i++) {
      const g = gradient[i];
      mean[i] += (1 - beta1)*(g - mean[i]);
      square[i] += (1 - beta2)*(g*g - square[i]);
      w[i] -= scale*mean[i]/(Math.sqrt(square[i]*whole) + tiny);
    }
  }
}

// Points of a painted density: `weights` is a picture of side by side cells over the square from -HALF to HALF, its first row on top.
export const HALF = 2.5;
export function painted(weights, side) {
  const sums = new Float64Array(weights.length);
  let total = 0;
  weights.forEach((weight, i) => sums[i] = total += weight);
  const cell = 2*HALF/side;
  const draw = (out, {uniform}) => {
    for (let k = 0; k < out.length; k += 2) {
      const wanted = uniform()*total;
      let low = 0, high = sums.length - 1;
      while (low < high) {
        const middle = low + high >> 1;
        if (sums[middle] > wanted) high = middle; else low = middle + 1;
      }
      out[k] = (low % side + uniform())*cell - HALF;
      out[k + 1] = HALF - (Math.floor(low/side) + uniform())*cell;
    }
    return out;
  };
  return {total, draw};
}

// One batch of flow matching: points x_u and times u, and the velocities of their lines as targets.
export function batch(data, n, chance) {
  const x = data.draw(new Float64Array(2*n), chance), eps = chance.normal(new Float64Array(2*n));
  const u = Float64Array.from({length: n}, () => chance.uniform()), target = new Float64Array(2*n);
  for (let i = 0; i < 2*n; i++) {
    target[i] = eps[i] - x[i];
    x[i] += u[i >> 1]*target[i];
  }
  return {x, u, target};
}

// The sampling trajectories from noise at u = 1 to u = 0: steps + 1 arrays of points, by Euler's method.
export function follow(network, start, steps) {
  const frames = [start], n = start.length/2, u = new Float64Array(n);
  for (let k = 0; k < steps; k++) {
    const x = frames[k], v = network.forward(x, u.fill(1 - k/steps));
    frames.push(x.map((value, i) => value - v[i]/steps));
  }
  return frames;
}

// The energy distance of two sets of points; zero for equal distributions only.
export function energy(x, y) {
  const apart = (a, b) => {
    let sum = 0;
    for (let i = 0; i < a.length; i += 2) for (let j = 0; j < b.length; j += 2) sum += Math.sqrt((a[i] - b[j])**2 + (a[i + 1] - b[j + 1])**2);
    return 4*sum/a.length/b.length;
  };
  return 2*apart(x, y) - apart(x, x) - apart(y, y);
}
