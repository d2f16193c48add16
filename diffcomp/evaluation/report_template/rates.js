// Bjontegaard rates, and the pictures behind them -----------------------------------------------

const percent = (value) => `${value > 0 ? "+" : ""}${value.toFixed(1)} %`;

function metricLabel(name) {
  const found = data.columns.find((c) => c.name === name);
  return found ? found.label : name;
}

function rateText(rate) {
  if (rate.bd_rate_percent === null) return `none: ${rate.reason}`;
  const text = percent(rate.bd_rate_percent);
  if (rate.low_percent === null) return `${text}, no interval: ${rate.reason}`;
  const interval = `${text} [${percent(rate.low_percent)}, ${percent(rate.high_percent)}]`;
  return rate.verdict === "no difference" ? `no difference: ${interval}` : interval;
}

function drawWorst() {
  const items = data.bd_rates.filter((r) => data.codecs.find((c) => c.name === r.codec).model
    && (r.worst.length || r.without.length));
  if (!items.length) { $("worst-section").hidden = true; return; }
  $("worst").replaceChildren(...items.map((rate) => {
    const worst = rate.worst.map(([name, value]) => `${name} ${percent(value)}`).join(", ");
    const without = rate.without.length ? ` No rate of their own: ${rate.without.join(", ")}.` : "";
    return element("li", {}, element("b", { textContent: `${rate.codec}, ${metricLabel(rate.metric)}` }),
      ` against ${rate.anchor}: ${worst || "none has a rate"}.${without}`);
  }));
}

function drawRates() {
  $("rates-text").textContent = "Rate at equal quality against the anchor; negative means smaller files. "
    + "In square brackets the 95 % interval over the pictures: where it holds 0 there is no difference.";
  fillRates($("rates"), data.bd_rates, false);
  $("classes-section").hidden = !data.class_rates.length;
  fillRates($("classes"), data.class_rates, true);
  drawScatter();
}

function fillRates(table, rates, byClass) {
  const heads = [...(byClass ? ["class"] : []), "metric", "codec", "against", "rate",
    "smaller / larger files", "5 / 50 / 95 % of pictures below", "range compared"];
  const body = rates.map((rate) => {
    const cell = (text, kind = "") => element("td", { textContent: text, className: kind });
    const spread = rate.percentile_50 === null ? ""
      : [5, 50, 95].map((p) => percent(rate[`percentile_${p}`])).join(" / ");
    const range = rate.from === null ? ""
      : `${number(rate.from, 3)} to ${number(rate.to, 3)} (${Math.round(100 * rate.overlap)} %)`;
    return element("tr", {}, ...(byClass ? [cell(rate.class, "text")] : []), cell(metricLabel(rate.metric)), nameCell(rate.codec), cell(rate.anchor),
      cell(rateText(rate), rate.bd_rate_percent === null ? "text" : ""),
      cell(rate.wins + rate.losses ? `${rate.wins} / ${rate.losses} of ${rate.of}` : ""), cell(spread), cell(range));
  });
  table.replaceChildren(
    element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { textContent: text, scope: "col" })))),
    element("tbody", {}, ...body));
}

// A dot for each picture, a row for each codec, of the metric that the curves show.
function drawScatter() {
  const svg = $("scatter");
  const rates = data.bd_rates.filter((r) => r.metric === state.metric && r.differences.length);
  const [width, left, right, line, bottom] = [820, 150, 16, 30, 46];
  const height = rates.length * line + bottom + 10;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  if (!rates.length) return;
  const [x0, x1] = range([0, ...rates.flatMap((r) => r.differences.map(([, value]) => value))], 0.04);
  const x = (v) => left + ((v - x0) / (x1 - x0)) * (width - left - right);
  for (const tick of niceTicks(x0, x1, 8)) {
    draw(svg, "line", { x1: x(tick), x2: x(tick), y1: 6, y2: height - bottom, class: tick === 0 ? "axis" : "grid" });
    draw(svg, "text", { x: x(tick), y: height - bottom + 17, "text-anchor": "middle" }, number(tick));
  }
  draw(svg, "text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle", class: "axis-label" },
    `${metricLabel(state.metric)}: rate of each picture against the anchor's (%)`);
  rates.forEach((rate, index) => {
    const y = 10 + (index + 0.5) * line;
    draw(svg, "text", { x: left - 9, y: y + 4, "text-anchor": "end" }, rate.codec);
    rate.differences.forEach(([name, value], i) => {
      const dot = draw(svg, "circle", { cx: x(value), cy: y + ((i % 3) - 1) * 5, r: 4, opacity: 0.6, style: `fill:${color(rate.codec)}` });
      dot.addEventListener("pointermove", (event) => showTip(event, `${name}\n${percent(value)}`));
      dot.addEventListener("pointerleave", () => { $("tip").hidden = true; });
    });
  });
}

drawText();
setUpPlot();
setUpViewer();
drawSummary();
drawWorst();
drawRates();
