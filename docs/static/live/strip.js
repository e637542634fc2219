// One digit on its way out of noise: only the film, x_t above and the x0 prediction below.
import {among, choice, live, number, size, slider, starts} from './page.js';

live({
  network: 'digits',
  controls: () => ({
    digit: choice('digit', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 8), seed: number('seed', 1),
    steps: among('steps', [5, 10, 20, 50, 100], 10), eta: slider('eta', 0, 1, .05, 0),
    w: slider('guidance w', 0, 4, .25, 1),
  }),
  request(v, about) {
    const xT = starts([v.seed], size(about));
    return {y: [v.digit], seeds: [v.seed], xT, steps: v.steps, eta: [v.eta], w: v.w};
  },
  names: v => [v.digit],
});
