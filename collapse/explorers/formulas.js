// Printed by collapse.explorers.formulas: records of workflows and explorers.

export const limitAt = (share, size) => 1 + Math.pow(1 - share, 2)/(share*size*(2 - share));
export const shareAt = (extra) => -Math.sqrt(extra)*Math.pow(extra + 1, -0.5) + 1;
export const extraOf = (ratio, n, p) => (1/2)*p*(ratio - 1)/n;
export const leastOf = (test_rows) => 8/test_rows;
export const paid = (ratio, limit) => (ratio - 1)/(limit - 1);
export const INFORMATION = 0.3333333333333333;
export const SHRINKAGE = 0.5;
export const ESTIMATORS = {"median": {"variance": 4.0, "passed": 1.0}, "mean": {"variance": 3.289868133696453, "passed": 1.0}, "Hodges' estimator": {"variance": 0.8224670334241132, "passed": 0.5}};

export const FAMILIES = {
  discard: "discard",
  augment: "augment",
  subsample: "subsample",
  bootstrap: "discard",
  window: "window",
  fixed_real_share: "fixed real share",
  real_and_window: "fixed real share",
  real_and_average: "fixed real share",
  fresh_real: "fixed real share",
  mixture: "augment",
  forgetting: "window",
  ring: "real",
  star: "real",
  all_to_all: "real",
  reservoir: "subsample",
};

export const MEANINGS = {
  discard: ({ size = 1 }) => `Each generation trains on the latest synthetic batch alone.${bySize(size)}`,
  augment: ({ size = 1 }) => `Each generation trains on the real data and all synthetic batches so far.${bySize(size)}`,
  subsample: ({ replace = false }) => `Each generation trains on as many rows as were real, drawn${replace ? ' with replacement' : ''} from everything so far.${replace ? ' The first one too: its risk, the ratio\'s unit, is twice that of a fit' + ' to all real rows.' : ''}`,
  bootstrap: () => `Each generation trains on rows drawn with replacement from the latest batch. The first one too: its risk is the ratio's unit.`,
  window: ({ k }) => `Each generation trains on the latest ${times(k, 'batch', 'batches')}; the real data are one of them at first.`,
  fixed_real_share: ({ share }) => `Each generation gives ${percent(share)} of the weight to the real data, the rest to the latest synthetic batch.`,
  real_and_window: ({ k }) => `Each generation trains on the real data and the latest ${times(k, 'synthetic batch', 'synthetic batches')}, every row alike.`,
  real_and_average: ({ share }) => `Each generation gives ${percent(share)} of the weight to the real data, the rest to all synthetic batches so far.`,
  fresh_real: ({ share, kappa = 1 }) => `Each generation gives ${percent(share)} of the weight to fresh real rows, the rest to a synthetic batch of ${kappa === 1 ? '' : `${plain(kappa, 3)} times `}as many.`,
  mixture: () => `Each generation trains on as many rows as were real, made afresh by all earlier models in equal parts.`,
  forgetting: ({ memory }) => `Each generation trains on all batches so far; a batch has ${plain(memory, 3)} times the weight of the next younger one.`,
  ring: ({ models, share = 0 }) => `${models} models in a ring: each trains on the latest output of the one before it${weighing('its own real rows', share)}.`,
  star: ({ models, share = 0, published = true }) => `A hub trains on the latest output of ${times(models - 1, 'other model')}, they train on the hub's${weighing('their own real rows', share)}. The hub ${published ? 'publishes one batch for all' : 'draws a batch for each'}. Shown is the worse of hub and leaf.`,
  all_to_all: ({ models, share = 0, published = true }) => `${models} models: each trains on the latest output of all of them${weighing('its own real rows', share)}. A model ${published ? 'publishes one batch for all' : 'draws a batch for each reader'}.`,
  reservoir: ({ turnover }) => `Each generation trains on a memory of as many rows as were real${turnover === 0 ? ': a fair sample of all rows so far, kept from fit to fit' : `; each new batch replaces ${percent(turnover)} of it`}.`,
};

export const WORKFLOWS = {
  discard: (G, { size = 1 }) => chain(G, (g) => [[g], [1]], { size }),
  augment: (G, { size = 1 }) => chain(G, (g) => [upTo(g + 1), upTo(g + 1).map((b) => (b === 0 ? 1 : size) / (1 + g * size))], { size }),
  subsample: (G, { replace = false }) => chain(G, (g) => [...alike(upTo(g + 1)), upTo(g + 1).map(() => 1 / (g + 1))], { replace }),
  bootstrap: (G, { share = 1 }) => chain(G, (g) => [[g], [1], [share]], { replace: true }),
  window: (G, { k }) => chain(G, (g) => alike(upTo(g + 1).slice(-k))),
  fixed_real_share: (G, { share }) => chain(G, (g) => (g === 0 ? [[0], [1]] : [[0, g], [share, 1 - share]])),
  real_and_window: (G, { k }) => chain(G, (g) => alike([0, ...upTo(g + 1).slice(1).slice(-k)])),
  real_and_average: (G, { share }) => chain(G, (g) => (g === 0 ? [[0], [1]] : [upTo(g + 1), upTo(g + 1).map((b) => (b === 0 ? share : (1 - share) / g))])),
  fresh_real: (G, { share, kappa = 1 }) => rounds(G, (g) => [[0, 1], [g, kappa]], (g) => [[2 * g - 1, 2 * g], [share, 1 - share]]),
  mixture: (G) => rounds(G, (g) => upTo(g).map((teacher) => [teacher + 1, 1 / g]), (g) => alike(upTo(g).map((i) => 1 + (g * (g - 1)) / 2 + i))),
  forgetting: (G, { memory }) => chain(G, (g) => inProportion(upTo(g + 1).map((b) => memory ** (g - b)))),
  ring: (G, { models, share = 0 }) => ecosystem(G, models, share, true, (i, M) => [(i + M - 1) % M]),
  star: (G, { models, share = 0, published = true }) => ecosystem(G, models, share, published, (i, M) => (i ? [0] : upTo(M).slice(1))),
  all_to_all: (G, { models, share = 0, published = true }) => ecosystem(G, models, share, published, (_, M) => upTo(M)),
  reservoir: (G, { turnover }) => ({ turnover: upTo(G).map((g) => (g === 0 ? 1 : turnover === 0 ? 1 / (g + 1) : turnover)) }),
};

export const FATES = {
  discard: ({ size = 1, kept = 1 }) => collapsing(1/(kept*size)),
  augment: ({ size = 1, kept = 1 }) => bounded(1 + ((-1 + 1/kept)*(size/(size + 1) - trigamma(2 + 1/size)) + trigamma(1 + 1/size))/size),
  subsample: ({ replace = false, kept = 1 }) => replace ? bounded(1/8 + (1/12)*Math.pow(Math.PI, 2) + (1/2)*(-1/4 + (1/6)*Math.pow(Math.PI, 2))/kept) : bounded(-7/4 + (1/3)*Math.pow(Math.PI, 2) + (-1/4 + (1/6)*Math.pow(Math.PI, 2))/kept),
  bootstrap: () => collapsing(1),
  window: ({ k, kept = 1 }) => collapsing(4*(1 + (-1 + 1/kept)/k)/Math.pow(k + 1, 2)),
  fixed_real_share: ({ share, kept = 1 }) => (share === 0 ? collapsing(1/kept) : share === 1 ? bounded(1/kept) : bounded(((-1 + 1/kept)*(Math.pow(share, 2) + Math.pow(1 - share, 2)) + 1)/(share*(2 - share)))),
  real_and_window: ({ k }) => bounded((2*k + 2)/(k + 2)),
  real_and_average: ({ share }) => (share === 0 ? bounded(1 + (1/6)*Math.pow(Math.PI, 2)) : share === 1 ? bounded(1) : bounded(1)),
  fresh_real: ({ share, kappa = 1 }) => (share === 0 ? collapsing(1/kappa) : share === 1 ? bounded(1) : bounded((-kappa*Math.pow(share, 2) - Math.pow(share - 1, 2))/(kappa*share*(share - 2)))),
  mixture: () => bounded(1 + (1/6)*Math.pow(Math.PI, 2)),
  forgetting: ({ memory }) => (memory === 0 ? collapsing(1) : collapsing(Math.pow(1 - memory, 2))),
  ring: ({ models, share = 0 }) => (share === 0 ? collapsing(1) : share === 1 ? bounded(1) : bounded((Math.pow(share, 2)*(Math.pow(1 - share, models) + 1)/(1 - Math.pow(1 - share, models)) + Math.pow(1 - share, 2))/(1 - Math.pow(1 - share, 2)))),
  star: ({ models, share = 0, published = true }) => (share === 0 ? published ? collapsing(1/2 + (1/2)/(models - 1)) : collapsing(1/(models - 1)) : share === 1 ? bounded(1) : published ? bounded(Math.max((Math.pow(1 - share, 2)/(models - 1) + 1)/Math.pow(2 - share, 2) + (Math.pow(1 - share, 4) + Math.pow(1 - share, 2)/(models - 1))/(1 - Math.pow(1 - share, 4)), Math.pow(share, 2) + 2*share*Math.pow(1 - share, 2)/((2 - share)*(models - 1)) + Math.pow(1 - share, 2)*((Math.pow(1 - share, 2)/(models - 1) + 1)/Math.pow(2 - share, 2) + (Math.pow(1 - share, 4) + Math.pow(1 - share, 2)/(models - 1))/(1 - Math.pow(1 - share, 4))) + Math.pow(1 - share, 2))) : bounded(Math.max((Math.pow(1 - share, 2)/(models - 1) + 1)/Math.pow(2 - share, 2) + (Math.pow(1 - share, 4)/(models - 1) + Math.pow(1 - share, 2)/(models - 1))/(1 - Math.pow(1 - share, 4)), Math.pow(share, 2) + 2*share*Math.pow(1 - share, 2)/((2 - share)*(models - 1)) + Math.pow(1 - share, 2)*((Math.pow(1 - share, 2)/(models - 1) + 1)/Math.pow(2 - share, 2) + (Math.pow(1 - share, 4)/(models - 1) + Math.pow(1 - share, 2)/(models - 1))/(1 - Math.pow(1 - share, 4))) + Math.pow(1 - share, 2)))),
  all_to_all: ({ models, share = 0, published = true }) => (share === 0 ? published ? collapsing(1/models) : collapsing(Math.pow(models, -2)) : share === 1 ? bounded(1) : published ? bounded(Math.pow(share, 2) + 2*share*(1 - share)/models + Math.pow(1 - share, 4)/(models*(1 - Math.pow(1 - share, 2))) + 2*Math.pow(1 - share, 2)/models) : bounded(Math.pow(share, 2) + 2*share*(1 - share)/models + 2*Math.pow(1 - share, 2)/models + Math.pow(1 - share, 4)/(Math.pow(models, 2)*(1 - Math.pow(1 - share, 2))))),
  reservoir: ({ turnover }) => (turnover === 0 ? collapsing(2, true) : turnover === 1 ? collapsing(1) : collapsing(turnover*(2 - turnover))),
};
