import {choice, live, number, size, slider, starts, steps} from './page.js';
import {lerp, slerp} from './sampler.js';

const NAMES = ['first', 'slerp', 'lerp', 'second'];

live({
  network: 'digits',
  controls: () => ({
    alpha: slider('alpha', 0, 1, .02, .5), label: choice('digit', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 3),
    first: number('first seed', 1), second: number('second seed', 2), steps: steps(),
  }),
  request(v, about) {
    const n = size(about), a = starts([v.first], n), b = starts([v.second], n), seeds = [0, 0, 0, 0];
    const xT = new Float32Array(4*n);
    [a, slerp(a, b, v.alpha), lerp(a, b, v.alpha), b].forEach((x, j) => xT.set(x, j*n));
    return {y: seeds.map(() => v.label), seeds, xT, steps: v.steps, eta: seeds, w: 0};
  },
  names: () => NAMES,
  rows: images => [images],
  columnNames: () => NAMES,
  description: v => `Four digits ${v.label}: of the first noise, of the arc and of the straight line at alpha ${v.alpha}, and of the second noise`,
});
