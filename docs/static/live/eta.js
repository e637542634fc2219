import {choice, live, number, size, slider, starts, steps} from './page.js';

live({
  network: 'digits',
  controls: () => ({
    eta: slider('eta', 0, 1, .02, .5), label: choice('digit', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4),
    seed: number('seed', 1), steps: steps(),
  }),
  request(v, about) {
    const three = [0, 1, 2].map(k => 10*v.seed + k), seeds = [...three, ...three];
    return {y: seeds.map(() => v.label), seeds, xT: starts(seeds, size(about)), steps: v.steps, eta: seeds.map((_, j) => j < 3 ? 0 : v.eta), w: 0};
  },
  names: v => [0, v.eta].flatMap(eta => [1, 2, 3].map(k => `${k}, eta ${eta}`)),
  rows: images => [images.slice(0, 3), images.slice(3)],
  columnNames: () => ['noise 1', 'noise 2', 'noise 3'],
  rowNames: v => ['eta 0', `eta ${v.eta}`],
  description: v => `Three digits ${v.label} at eta 0, and below them the digits of the same noises at eta ${v.eta}`,
});
