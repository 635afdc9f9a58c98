// What the panel says of a step ---------------------------------------------------------------------------------------

/** The local derivatives of the ops, in words. */
const RULES = {
  "+": "A sum grows by as much as an operand does: the local derivative of each operand is 1.",
  "*": "The local derivative of a factor is the other factor.",
  "**": "The local derivative of x ** y by x is y · x ** (y − 1); by y it is x ** y · log x.",
  "ReLU": "The local derivative is 1 where the operand is positive, and 0 elsewhere.",
  "exp": "The local derivative is the result itself.",
  "log": "The local derivative is 1 / operand.",
  "tanh": "The local derivative is 1 − result².",
  "sigmoid": "The local derivative is result · (1 − result).",
  "softplus": "The local derivative is the sigmoid of the operand.",
  "sqrt": "The local derivative is 0.5 / result.",
  "sin": "The local derivative is the cosine of the operand.",
  "cos": "The local derivative is minus the sine of the operand.",
  "abs": "The local derivative is 1 where the operand is positive, and −1 where it is negative.",
  "detach": "No gradient passes: the operand counts as a constant.",
  "maximum": "The local derivative of the largest operand is 1, that of the others 0; equal ones share.",
  "minimum": "The local derivative of the smallest operand is 1, that of the others 0; equal ones share.",
};

function ruleOf(node) {
  if (node.python) return `Computed in Python (${node.python}).`;
  const [, power] = node.op.match(/^\*\*(.+)/) ?? [];
  if (power) return `The local derivative of x ** ${power} is ${power} · x ** ${Number(power) - 1}.`;
  return RULES[node.op] ?? "";
}

function stepPanel(step) {
  return [
    element("p", {className: "pass"}, `${step.pass === "forward" ? "Forward" : "Backward"}, step ${done} of ${steps.length}`),
    ...({forward: forwardPanel, seed: seedPanel, backward: backwardPanel})[step.pass](step.node),
  ];
}

function titleOf(node) {
  const name = nameOf(node), written = formula(node, termOf);
  return name === written ? name : `${name} = ${written}`;
}

function forwardPanel(node) {
  return [
    element("h1", {}, titleOf(node)),
    equation(`${formula(node, operand => short(operand.data))} = `, term(node.data, "data", "result")),
    element("p", {}, "The forward pass computes each number from its operands."),
  ];
}

function seedPanel(node) {
  return [
    element("h1", {}, `The gradient of ${nameOf(node)} is 1`),
    element("p", {}, `The backward pass starts at the ${roots.length === 1 ? "result" : "results"}. If ${nameOf(node)} grows by a little, it grows by that much: its gradient is 1. ` +
      "All others are 0 until shares are added to them."),
  ];
}

function backwardPanel(node) {
  const left = new Map(node.operands.map(operand => [operand, operand.shares.filter(share => share.from === node)]));
  return [
    element("h1", {}, titleOf(node)),
    element("p", {}, ruleOf(node)),
    element("div", {className: "shares"}, ...node.operands.map(operand => sharePanel(operand, left.get(operand).shift()))),
  ];
}

/** What a step adds to the gradient of an operand. */
function sharePanel(operand, share) {
  const {slope, above, product, before, sum} = share, all = operand.shares.filter(({from}) => from);
  const place = all.indexOf(share) + 1, words = place < all.length ? `grad, share ${place} of ${all.length}` : "grad, complete";
  return element("div", {className: "share"},
    element("div", {className: "name"}, `to ${nameOf(operand)}`),
    equation(term(slope ?? "?", "local derivative", "slope"), "×", term(above, "from above", "above"), "=", term(product, "share", "result")),
    equation(term(before, "so far", "before"), "+", term(product, "share", "added"), "=", term(sum, words, "sum")));
}

function equation(...terms) {
  return element("div", {className: "product"}, ...terms);
}

/** A number of an equation, with a word for it below, and all its digits at the pointer. */
function term(number, words, className) {
  return element("span", {className, title: python(number)}, short(number), element("small", {}, words));
}
