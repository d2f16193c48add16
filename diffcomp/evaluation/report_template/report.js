"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const state = {
  metric: data.metrics.length ? data.metrics[0].name : null,
  hidden: new Set(), // names of curves
  last: null, // the picture on the right before another image was chosen
};

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function draw(parent, tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

const number = (value, digits = 4) =>
  value === null || value === undefined ? "" : String(Number(value.toPrecision(digits)));
const bytes = (value) => Math.round(value).toLocaleString("en");
const color = (codec) =>
  data.colors[data.codecs.findIndex((c) => c.name === codec) % data.colors.length];
const rung = (codec, quality) => codec + (quality === "" ? "" : ` q=${quality}`);

// Curves ---------------------------------------------------------------------------------------

function curves(metric) {
  const measured = data.codecs.map((codec) => ({
    name: codec.name, color: color(codec.name), quoted: false,
    points: data.points
      .filter((p) => p.codec === codec.name && typeof p[metric] === "number")
      .map((p) => ({ x: p.bpp, y: p[metric], quality: p.quality })),
  }));
  const quoted = Object.entries(data.quoted[metric] || {}).map(([name, points], i) => ({
    name: `${name} (quoted)`, color: data.colors[i % data.colors.length], quoted: true,
    points: points.map(([x, y]) => ({ x, y, quality: "" })),
  }));
  const all = [...measured, ...quoted].filter((curve) => curve.points.length);
  for (const curve of all) curve.points.sort((a, b) => a.x - b.x);
  return all;
}

function niceTicks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find((m) => m * power >= raw * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

function logTicks(low, high) {
  const steps = high / low < 4 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : [1, 2, 5];
  const ticks = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
    for (const s of steps) if (s * 10 ** e >= low && s * 10 ** e <= high) ticks.push(s * 10 ** e);
  return ticks;
}

function range(values, margin) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = [low - Math.abs(low || 1) * 0.1, high + Math.abs(high || 1) * 0.1];
  return [low - margin * (high - low), high + margin * (high - low)];
}

function drawPlot() {
  const svg = $("plot");
  const [width, height, left, right, top, bottom] = [820, 470, 70, 16, 14, 52];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const all = curves(state.metric);
  drawLegend(all);
  const shown = all.filter((curve) => !state.hidden.has(curve.name));
  const points = shown.flatMap((curve) => curve.points);
  if (!points.length) return;
  const log = $("log").checked;
  const scale = log ? Math.log10 : (v) => v;
  const [x0, x1] = range(points.map((p) => scale(p.x)), 0.04);
  const [y0, y1] = range(points.map((p) => p.y), 0.06);
  const x = (v) => left + ((scale(v) - x0) / (x1 - x0)) * (width - left - right);
  const y = (v) => height - bottom - ((v - y0) / (y1 - y0)) * (height - top - bottom);
  for (const tick of niceTicks(y0, y1, 7)) {
    draw(svg, "line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "grid" });
    draw(svg, "text", { x: left - 9, y: y(tick) + 4, "text-anchor": "end" }, number(tick));
  }
  for (const tick of log ? logTicks(10 ** x0, 10 ** x1) : niceTicks(Math.max(x0, 0), x1, 8)) {
    draw(svg, "line", { x1: x(tick), x2: x(tick), y1: top, y2: height - bottom, class: "grid" });
    draw(svg, "text", { x: x(tick), y: height - bottom + 19, "text-anchor": "middle" }, number(tick));
  }
  const axis = { class: "axis", x1: left, y2: height - bottom };
  draw(svg, "line", { ...axis, x2: width - right, y1: height - bottom });
  draw(svg, "line", { ...axis, x2: left, y1: top });
  const metric = data.metrics.find((m) => m.name === state.metric);
  const direction = metric.higher ? "higher is better" : "lower is better";
  const middle = (top + height - bottom) / 2;
  draw(svg, "text", { x: (left + width - right) / 2, y: height - 10, "text-anchor": "middle", class: "axis-label" },
    "rate (bits per pixel)");
  draw(svg, "text", { transform: `translate(17 ${middle}) rotate(-90)`, "text-anchor": "middle", class: "axis-label" },
    `${metric.label}, ${direction}`);
  for (const curve of [...shown].reverse()) drawCurve(svg, curve, metric, x, y);
}

function drawCurve(svg, curve, metric, x, y) {
  const path = curve.points.map((p, i) => `${i ? "L" : "M"}${x(p.x).toFixed(1)} ${y(p.y).toFixed(1)}`);
  const dash = curve.quoted ? { "stroke-dasharray": "5 4" } : {};
  draw(svg, "path", { d: path.join(""), fill: "none", style: `stroke:${curve.color}`, "stroke-width": curve.quoted ? 1.3 : 2.2, opacity: curve.quoted ? 0.55 : 1, ...dash });
  for (const p of curve.points) {
    draw(svg, "circle", { cx: x(p.x), cy: y(p.y), r: curve.quoted ? 2.5 : 4, opacity: curve.quoted ? 0.55 : 1, style: `fill:${curve.color}` });
    const hit = draw(svg, "circle", { cx: x(p.x), cy: y(p.y), r: 11, class: "hit" });
    const text = `${rung(curve.name, p.quality)}\n${number(p.x)} bpp\n${metric.label}: ${number(p.y)}`;
    hit.addEventListener("pointermove", (event) => showTip(event, text));
    hit.addEventListener("pointerleave", () => { $("tip").hidden = true; });
  }
}

function showTip(event, text) {
  const tip = $("tip");
  tip.textContent = text;
  tip.hidden = false;
  const room = window.innerWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.min(event.clientX + 14, room)}px`;
  tip.style.top = `${event.clientY + 14}px`;
}

function drawLegend(all) {
  $("legend").replaceChildren(...all.map((curve) => {
    const swatch = document.createElementNS(SVG, "svg");
    swatch.setAttribute("width", 26);
    swatch.setAttribute("height", 10);
    const dash = curve.quoted ? { "stroke-dasharray": "5 4" } : {};
    draw(swatch, "line", { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 2.2, opacity: curve.quoted ? 0.55 : 1, style: `stroke:${curve.color}`, ...dash });
    const codec = data.codecs.find((c) => c.name === curve.name);
    const settings = codec ? [element("span", { className: "settings", textContent: codec.settings })] : [];
    const button = element("button", { type: "button" }, swatch, element("span", {}, curve.name, ...settings));
    button.setAttribute("aria-pressed", String(!state.hidden.has(curve.name)));
    button.addEventListener("click", () => {
      if (!state.hidden.delete(curve.name)) state.hidden.add(curve.name);
      drawPlot();
    });
    return button;
  }));
}

function setUpPlot() {
  for (const metric of data.metrics) {
    const button = element("button", { type: "button", textContent: metric.label });
    button.addEventListener("click", () => { state.metric = metric.name; choose(); });
    button.dataset.metric = metric.name;
    $("metrics").append(button);
  }
  const choose = () => {
    for (const button of $("metrics").children)
      button.setAttribute("aria-pressed", String(button.dataset.metric === state.metric));
    drawPlot();
    drawScatter();
  };
  $("log").addEventListener("change", drawPlot);
  if (data.sources.length)
    $("quoted-note").textContent = "Dashed curves are quoted from their publications, not measured "
      + "here: other builds of a metric may give other figures.";
  if (state.metric) choose();
}

// Tables ---------------------------------------------------------------------------------------

const sorting = { column: null, up: true };

function drawSummary() {
  const columns = [
    { name: "codec", label: "codec" }, { name: "quality", label: "quality" },
    { name: "images", label: "images" }, ...data.columns,
  ];
  const key = (p) => (sorting.column === "quality" ? Number(p.quality) : p[sorting.column]);
  const points = [...data.points];
  if (sorting.column) points.sort((a, b) => {
    const [u, v] = [key(a), key(b)];
    if (typeof u !== typeof v || u === null) return (typeof u === "number" ? 0 : 1) - (typeof v === "number" ? 0 : 1);
    return (u < v ? -1 : u > v ? 1 : 0) * (sorting.up ? 1 : -1);
  });
  const head = columns.map((column) => {
    const cell = element("th", { textContent: column.label, scope: "col", tabIndex: 0 });
    if (column.name === sorting.column)
      cell.setAttribute("aria-sort", sorting.up ? "ascending" : "descending");
    const sort = () => {
      sorting.up = sorting.column === column.name ? !sorting.up : true;
      sorting.column = column.name;
      drawSummary();
    };
    cell.addEventListener("click", sort);
    cell.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
    return cell;
  });
  const body = points.map((p) => element("tr", { title: p.notes.join("; ") }, ...columns.map((column) => {
    if (column.name === "codec") return nameCell(p.codec);
    const value = p[column.name];
    const text = typeof value !== "number" ? value || "" : column.name === "bytes" ? bytes(value) : number(value);
    return element("td", { textContent: text + (column.name === "images" && p.notes.length ? " *" : "") });
  })));
  $("summary").replaceChildren(
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

function nameCell(codec, tag = "td") {
  const swatch = element("span", { className: "swatch" });
  const title = data.codecs.find((c) => c.name === codec).settings;
  swatch.style.background = color(codec);
  return element(tag, { title }, swatch, codec + (data.tuned.includes(codec) ? " (tuned on these)" : ""));
}

function drawText() {
  $("description").textContent = `${data.protocol_description}. diffcomp ${data.diffcomp}.`;
  $("notes").append(...data.notes.map((note) => element("li", { textContent: note })));
  const labels = Object.fromEntries(data.columns.map((c) => [c.name, c.label]));
  const add = (term, text) => $("definitions").append(
    element("dt", { textContent: term }), element("dd", { textContent: text }));
  for (const [name, text] of Object.entries(data.definitions)) add(labels[name] || name, text);
  for (const codec of data.codecs) add(codec.name, codec.settings);
  for (const source of data.sources) add("quoted", source);
}

// Pictures -------------------------------------------------------------------------------------

const ORIGINAL = "original";

function options(select, entries, wanted) {
  select.replaceChildren(...entries.map(([value, text]) => element("option", { value, textContent: text })));
  if (entries.some(([value]) => value === wanted)) select.value = wanted;
}

function picture() { return data.pictures[Number($("image").value)]; }

function nearest(codec, size) {
  const ladder = picture().decoded.filter((d) => d.codec === codec);
  return ladder.reduce((a, b) => (Math.abs(b.row.bytes - size) < Math.abs(a.row.bytes - size) ? b : a));
}

function chosen() {
  const right = picture().decoded[Number($("right").value)] || null;
  const left = $("left").value;
  const other = right && left && left !== ORIGINAL;
  return { right, left: other ? nearest(left, right.row.bytes) : null };
}

function chooseImage() {
  const before = state.last;
  const decoded = picture().decoded;
  options($("right"), decoded.map((d, i) => [String(i), `${rung(d.codec, d.quality)}, ${bytes(d.row.bytes)} bytes`]));
  const same = before ? decoded.findIndex((d) => d.codec === before.codec && d.quality === before.quality) : -1;
  if (same >= 0) $("right").value = String(same);
  chooseRight();
}

function chooseRight() {
  const { right } = chosen();
  state.last = right;
  const others = [...new Set(picture().decoded.map((d) => d.codec))].filter((c) => !right || c !== right.codec);
  options($("left"), [[ORIGINAL, "original"], ...others.map((c) => [c, `${c}, nearest in bytes`])], $("left").value);
  showPicture();
}

function caption(entry, other) {
  if (!entry) return [element("b", { textContent: "original" })];
  const size = entry.row.bytes;
  const ratio = other ? ` (${size >= other.row.bytes ? "+" : ""}${((size / other.row.bytes - 1) * 100).toFixed(1)} %)` : "";
  const figures = data.metrics.filter((m) => m.name in entry.row)
    .map((m) => `${m.label} ${number(entry.row[m.name])}`.replaceAll(" ", "\u00a0"));
  return [
    element("b", { textContent: rung(entry.codec, entry.quality) }),
    `, ${bytes(size)} bytes${ratio}, ${number(entry.row.bpp, 3)} bpp`, element("br"), figures.join(" · "),
  ];
}

function showPicture() {
  const { left, right } = chosen();
  const image = picture();
  $("left-picture").src = left ? left.uri : image.uri;
  $("right-picture").src = right ? right.uri : image.uri;
  $("left-caption").replaceChildren(...caption(left, right));
  $("right-caption").replaceChildren(...caption(right, null));
  const zoom = Number($("zoom").value);
  $("stage").style.width = `${image.width * zoom}px`;
  $("stage").style.aspectRatio = `${image.width} / ${image.height}`;
  $("stage").style.imageRendering = zoom > 1 ? "pixelated" : "auto";
  moveSlider();
}

function moveSlider() {
  const share = Number($("slider").value);
  $("left-picture").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  $("handle").style.left = `${share}%`;
}

function drag(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  const box = $("stage").getBoundingClientRect();
  $("slider").value = String(((event.clientX - box.left) / box.width) * 100);
  moveSlider();
}

function setUpViewer() {
  if (!data.pictures.length) { $("viewer").hidden = true; return; }
  options($("image"), data.pictures.map((p, i) => [String(i), `${p.name} (${p.width}x${p.height})`]));
  $("image").addEventListener("change", chooseImage);
  $("right").addEventListener("change", chooseRight);
  $("left").addEventListener("change", showPicture);
  $("zoom").addEventListener("change", showPicture);
  $("slider").addEventListener("input", moveSlider);
  $("stage").addEventListener("pointerdown", (event) => { $("stage").setPointerCapture(event.pointerId); drag(event); });
  $("stage").addEventListener("pointermove", drag);
  const missing = data.pictures_left_out ? ` ${data.pictures_left_out} decoded pictures were left out, to keep this file small or for want of their files.` : "";
  $("picture-note").textContent = "Shown as WebP of quality " + data.display_quality + ", at their own size; all figures are "
    + "of the exact pixels. On the left stands the file of that codec that is nearest in bytes to the right one." + missing;
  chooseImage();
}
