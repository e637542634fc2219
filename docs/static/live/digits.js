import {boxes, live, number, size, slider, starts, steps} from './page.js';

const chosen = v => v.labels.flatMap((on, k) => on ? [k] : []);

live({
  network: 'digits',
  controls: () => ({
    labels: boxes('digits', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [2, 5]), seed: number('seed', 1),
    steps: steps(), eta: slider('eta', 0, 1, .05, 0), w: slider('guidance w', 0, 4, .25, 1),
  }),
  request(v, about) {
    const y = chosen(v), seeds = y.map(k => 10*v.seed + k);
    return {y, seeds, xT: starts(seeds, size(about)), steps: v.steps, eta: y.map(() => v.eta), w: v.w};
  },
  names: chosen,
  rows: images => [images],
  columnNames: chosen,
  description: v => `The digits ${chosen(v).join(', ')}, as drawn or as predicted so far`,
});
