// The panel: what it says of the graph, of an item, and of a step -----------------------------------------------------

const MOST_ROWS = 100;
const panel = document.getElementById("panel");

/** Select an item; null for none. */
function choose(item) {
  chosen = item;
  feeding = item ? reached(item, other => other.inputs) : new Set();
  fed = item ? reached(item, other => other.outputs) : new Set();
  showPanel();
  redraw();
}

function showPanel() {
  const step = currentStep();
  panel.replaceChildren(...chosen ? itemPanel(chosen) : step ? stepPanel(step) : graphPanel());
  panel.scrollTop = 0;
}

/** Create an element. Strings among the children are inserted as text, not as HTML. */
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

function facts(pairs) {
  const list = element("dl", {});
  for (const [name, value] of pairs) list.append(element("dt", {}, name), element("dd", {id: name}, value));
  return list;
}

function opMark(node) {
  return element("span", {className: `op ${node.python ? "python" : isFunction(node.op) ? "function" : ""}`}, node.op || "f");
}

function itemRow(item, ...more) {
  const row = element("button", {className: "row", onclick: () => { choose(item); centre(item); }});
  const number = item.members ? plural(item.members.length, "node") : short(numbersOf(item).data || item.data);
  row.append(...!item.members && item.operands.length ? [opMark(item)] : []);
  row.append(element("span", {className: "name"}, item.label || (item.operands.length ? `#${item.index}` : "leaf")));
  row.append(element("code", {}, number), ...more);
  return row;
}

function rows(title, some, row = itemRow) {
  if (!some.length) return [];
  const more = some.length - MOST_ROWS;
  return [
    element("h2", {}, title),
    ...some.slice(0, MOST_ROWS).map(item => row(item)),
    ...more > 0 ? [element("p", {}, `and ${more.toLocaleString("en")} more`)] : [],
  ];
}

function legend(name, words, size) {
  const line = element("div", {className: "key"}, `${words} ${plural(size, "node")}`);
  line.style.setProperty("--of", `var(--${name})`);
  return line;
}

function nodeCount(some) {
  return [...some].reduce((sum, item) => sum + (item.members?.length ?? 1), 0);
}

function itemPanel(item) {
  return item.members ? modulePanel(item) : nodePanel(item);
}

function nodePanel(node) {
  const {data, grad} = numbersOf(node);
  return [
    element("h1", {}, node.label || (node.operands.length ? `Node ${node.index}` : `Leaf ${node.index}`)),
    facts([
      ["op", node.op || (node.operands.length ? "made in Python" : "none: a leaf")],
      ...node.python ? [["python", node.python]] : [],
      ["data", python(data || node.data)],
      ["grad", python(grad)],
    ]),
    legend("feeding", "fed by", nodeCount(feeding)),
    legend("fed", "feeds", nodeCount(fed)),
    ...rows(node.operands.length === 1 ? "Operand" : "Operands", node.operands),
    ...rows(node.uses.length === 1 ? "Use" : "Uses", node.uses),
    ...gradientPanel(node),
  ];
}

/** Where the gradient of a node comes from: what each use adds. */
function gradientPanel(node) {
  const shares = node.shares.filter(share => share.from);
  if (!shares.length) return [];
  const line = (words, number) => element("div", {className: "row part"},
    element("span", {className: "name"}, words), element("code", {}, number));
  const row = ({from, slope, above, product}) =>
    line(`from ${nameOf(from)}`, `${short(slope ?? "?")} × ${short(above)} = ${short(product)}`);
  return [
    ...rows("What backward() adds: local derivative × gradient from above", shares, row),
    ...roots.includes(node) ? [line("as a result", short(1))] : [],
    line("sum", short(finalGrad(node))),
  ];
}

function modulePanel(module) {
  const parameters = module.members.filter(node => !node.operands.length && node.label);
  return [
    element("h1", {}, module.module),
    element("p", {}, `${plural(module.members.length, "node")}, ${plural(parameters.length, "parameter")}`),
    legend("feeding", "fed by", nodeCount(feeding)),
    legend("fed", "feeds", nodeCount(fed)),
    element("button", {className: "wide", onclick: () => reveal(module)}, "Show its nodes"),
    ...rows(module.results.length === 1 ? "Result" : "Results", module.results, fixedRow),
    ...rows(parameters.length === 1 ? "Parameter" : "Parameters", parameters, fixedRow),
  ];
}

/** A row of a node that the graph, as it is folded, does not show. */
function fixedRow(node) {
  const {data, grad} = numbersOf(node);
  return element("div", {className: "row"},
    element("span", {className: "name"}, node.label || `#${node.index}`),
    element("code", {}, `${short(data || node.data)}, grad ${short(grad)}`));
}

const HELP = [
  ["space", " to play, "], [",", " and "], [".", " to step, "], ["/", " to search, "], ["Enter", " for the next match, "],
  ["←", " and "], ["→", " to follow the edges, "], ["F", " to fit the graph, "], ["G", " to colour by |grad|, "],
  ["Esc", " to clear."],
];

function graphPanel() {
  const counts = new Map();
  for (const node of ops) counts.set(node.op, [...counts.get(node.op) ?? [], node]);
  const leaves = nodes.length - ops.length;
  const row = ([op, some]) => element("button", {className: "row", onclick: () => search(op)},
    opMark(some[0]), element("span", {className: "name"}), element("code", {}, some.length.toLocaleString("en")));
  const help = element("p", {});
  help.append("Play the passes, or click a node to see its numbers, what feeds it and what it feeds. Drag to pan, scroll to zoom. Keys: ");
  for (const [key, does] of HELP) help.append(element("kbd", {}, key), does);
  return [
    element("h1", {}, title || "Graph"),
    element("p", {}, `${plural(nodes.length, "node")}, ${leaves.toLocaleString("en")} of them leaves`),
    help,
    ...byGrad ? rampLegend() : [],
    ...rows("Ops", [...counts].sort((a, b) => b[1].length - a[1].length), row),
  ];
}

function rampLegend() {
  const ends = element("div", {className: "ends"}, element("span", {}, `0, then ${short(smallest)}`), element("span", {}, short(largest)));
  return [element("h2", {}, "|grad|, on a logarithmic scale"), element("div", {className: "ramp"}), ends];
}
