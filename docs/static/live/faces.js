import {boxes, live, number, size, slider, starts, steps} from './page.js';

const named = (v, about) => about.attributes.filter((_, k) => v.attributes[k]).map(a => a.replaceAll('_', ' ').toLowerCase());

live({
  network: 'faces',
  controls: about => ({
    attributes: boxes('attributes', about.attributes, about.attributes.flatMap((a, k) => ['Brown_Hair', 'No_Beard', 'Smiling'].includes(a) ? [k] : [])),
    seed: number('seed', 1), steps: steps(), eta: slider('eta', 0, 1, .05, 0), w: slider('guidance w', 0, 4, .25, 1),
  }),
  request(v, about) {
    return {y: [v.attributes.map(on => on ? 1 : -1)], seeds: [v.seed], xT: starts([v.seed], size(about)), steps: v.steps, eta: [v.eta], w: v.w};
  },
  names: () => ['face'],
  rows: images => [images],
  columnNames: () => ['the drawn face'],
  description: (v, about) => `A drawn face, or what is predicted so far, with: ${named(v, about).join(', ') || 'none of the attributes'}`,
});
