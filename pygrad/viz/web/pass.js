// The passes: which steps they have, and what is known after some of them ----------------------------------------------

const ops = nodes.filter(node => node.operands.length);
/** A step computes a node's number (forward), sets a root's gradient to 1 (seed), or passes a node's gradient on. */
const steps = [
  ...ops.map(node => ({pass: "forward", node})),
  ...roots.map(node => ({pass: "seed", node})),
  ...ops.filter(node => node.products).reverse().map(node => ({pass: "backward", node})),
];
const SEED = ops.length;
let done = null;                        // how many steps have been played, or null: the graph as it is

for (const node of nodes) Object.assign(node, {computed: -1, shares: [], got: 0});
ops.forEach((node, step) => { node.computed = step; });
roots.forEach((node, k) => node.shares.push({step: SEED + k, sum: 1}));
steps.forEach(({pass, node}, step) => {
  if (pass !== "backward") return;
  const above = last(node.shares)?.sum ?? 0;
  node.operands.forEach((operand, which) => {
    const product = Number(node.products[which]), before = last(operand.shares)?.sum ?? 0;
    operand.shares.push({step, from: node, slope: node.slopes[which], above, product, before, sum: before + product});
  });
});

/** The gradient of a node after the pass. */
function finalGrad(node) {
  return last(node.shares)?.sum ?? 0;
}

/** Note what is known after so many steps. */
function rewind(to) {
  done = to === null ? null : Math.min(Math.max(to, 0), steps.length);
  for (const node of nodes) {
    while (node.got && node.shares[node.got - 1].step >= done) node.got--;
    while (node.got < node.shares.length && node.shares[node.got].step < done) node.got++;
  }
}

function currentStep() {
  return done ? steps[done - 1] : null;
}

/** The data and the grad of a node as they are now: a number that is not yet computed is "". */
function numbersOf(node) {
  if (done === null) return {data: node.data, grad: node.grad};
  return {data: node.computed < done ? node.data : "", grad: node.got ? node.shares[node.got - 1].sum : 0};
}

/** Whether all shares of a node's gradient have been added. */
function isComplete(node) {
  return done === null || node.got === node.shares.length;
}

// The size of gradients, from 0 to 1 on a logarithmic scale ------------------------------------------------------------

const MOST_DECADES = 6;
const sizes = nodes.map(node => Math.abs(finalGrad(node))).filter(size => size && Number.isFinite(size));
const largest = Math.max(...sizes, 0);
const smallest = Math.max(Math.min(...sizes, largest), largest * 10 ** -MOST_DECADES);

function gradSize(item) {
  if (item.members) return Math.max(...item.members.map(gradSize));
  const size = Math.abs(Number(numbersOf(item).grad));
  if (!size) return 0;
  if (!(size < largest)) return 1;      // the largest, inf or nan
  return 0.1 + 0.9 * Math.max(Math.log(size / smallest) / Math.log(largest / smallest), 0);
}
