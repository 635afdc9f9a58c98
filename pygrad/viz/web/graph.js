// The graph: `nodes` has operands before results. `items` are what is drawn of it: nodes, and boxes in place of the nodes
// of a module --------------------------------------------------------------------------------------------------------

const WIDTH = 176, HEIGHT = 58;         // of an item: the oval of its op, and a card with its numbers
const CARD = 64, GAP = 7;               // the left edge of the card, and the gap between oval and card
const ROW = HEIGHT + 16;

const {nodes, folds, ...graph} = JSON.parse(document.getElementById("graph").textContent);
const roots = graph.roots.map(place => nodes[place]);
const title = roots.map(root => root.label).filter(Boolean).join(", ");
let items = nodes, itemOf = new Map();  // the item that shows each node
let COLUMN = 0, height = 0;             // the distance of columns, and the height of the drawing

nodes.forEach((node, index) => {
  node.index = index;
  node.operands = node.operands.map(operand => nodes[operand]);
  node.uses = [];
  for (const operand of new Set(node.operands)) operand.uses.push(node);
});

/** The items of each way to fold the graph; the first shows every node. */
const foldings = [
  nodes.map(node => ({item: node, members: [node], ...place(node)})),
  ...folds.map(boxes => boxes.map(box => {
    const members = box.members.map(member => nodes[member]);
    return {item: box.module ? asBox(box.module, members) : members[0], members, ...place(box)};
  })),
];

function place({column, height, lane}) {
  return {column, height, lane};
}

function asBox(module, members) {
  const results = members.filter(node => roots.includes(node) || node.uses.some(use => !members.includes(use)));
  return {module, members, results: results.filter(node => node.operands.length), label: module, op: ""};
}

/** Draw the graph folded in one of these ways. */
function unfold(folding) {
  itemOf = new Map();
  items = folding.map(({item, members, ...place}) => {
    for (const member of members) itemOf.set(member, item);
    return Object.assign(item, place, {inputs: new Set(), outputs: new Set()});
  });
  for (const node of nodes) {
    for (const use of node.uses) connect(itemOf.get(node), itemOf.get(use));
  }
  for (const item of items) {
    item.inputs = [...item.inputs];
    item.outputs = [...item.outputs];
  }
  height = Math.max(...items.map(item => item.height)) * ROW;
  // Spread a tall graph with few columns to about the shape of a screen, so that its edges are less steep.
  COLUMN = Math.min(Math.max(1.5 * height / (last(items).column + 1), WIDTH + 26), WIDTH + 300);
  for (const item of items) {
    item.x = item.column * COLUMN;
    item.y = item.height * ROW;
  }
}

function connect(from, to) {
  if (from === to) return;
  from.outputs.add(to);
  to.inputs.add(from);
}

function last(list) {
  return list[list.length - 1];
}

/** All items that one leads to. */
function reached(item, next) {
  const found = new Set();
  for (const stack = [item]; stack.length;) {
    for (const other of next(stack.pop())) {
      if (!found.has(other)) stack.push(other);
      found.add(other);
    }
  }
  return found;
}

// Words --------------------------------------------------------------------------------------------------------------

/** A number in the format of micrograd's pictures. It may be text in Python's format; `inf` and `nan` stay as they are. */
function short(number) {
  const x = Number(number), size = Math.abs(x);
  if (!Number.isFinite(x)) return python(number);
  return size && (size < 1e-3 || size >= 1e6) ? x.toExponential(3) : x.toFixed(4);
}

/** inf and nan as Python writes them. */
function python(number) {
  return String(number).replace("Infinity", "inf").replace("NaN", "nan");
}

function brief(number) {
  return Number.isNaN(Number(number)) ? number : String(Number(Number(number).toPrecision(3)));
}

/** What a node is called: its label, the number of a leaf, the formula of a few named nodes, or its place. */
function nameOf(node) {
  if (isNamed(node)) return node.label || brief(node.data);
  return node.operands.length < 3 && node.operands.every(isNamed) ? formula(node, nameOf) : `#${node.index}`;
}

function isNamed(node) {
  return node.label !== "" || !node.operands.length;
}

/** The same in a formula. */
function termOf(node) {
  const name = nameOf(node);
  return name.includes(" ") && !name.endsWith(")") && !node.label ? `(${name})` : name;
}

/** The formula of an op, with the names or the numbers of its operands. */
function formula(node, write) {
  const operands = node.operands.slice(0, 4).map(write);
  if (node.operands.length > 4) operands.push("…");
  if (!isFunction(node.op) && node.op && operands.length < 3) return operands.join(` ${node.op} `) + (operands.length < 2 ? node.op : "");
  return `${node.op || "f"}(${operands.join(", ")})`;
}

function isFunction(op) {
  return /^[a-z]/i.test(op);
}
