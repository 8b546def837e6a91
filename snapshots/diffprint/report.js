"use strict";
(function () {
  var main = document.getElementById("rows");
  var rows = Array.prototype.slice.call(main.querySelectorAll("details.row"));
  if (!rows.length) return;
  var none = "(none)";
  var of = rows.map(function (r) {
    return {
      row: r, text: r.textContent.toLowerCase(),
      table: [r.dataset.table], kind: [r.dataset.kind],
      column: JSON.parse(r.dataset.columns), department: JSON.parse(r.dataset.departments)
    };
  });
  of.forEach(function (o) {
    ["column", "department"].forEach(function (f) { if (!o[f].length) o[f] = [none]; });
  });
  var facets = ["table", "kind", "column", "department"];
  facets.forEach(function (f) {
    var counts = new Map();
    of.forEach(function (o) { o[f].forEach(function (v) { counts.set(v, (counts.get(v) || 0) + 1); }); });
    var select = document.getElementById("f-" + f);
    Array.from(counts.keys()).sort().forEach(function (v) {
      var option = document.createElement("option");
      option.value = v;
      option.textContent = v + " (" + counts.get(v) + ")";
      select.appendChild(option);
    });
    select.addEventListener("change", show);
  });
  document.getElementById("search").addEventListener("input", show);
  document.getElementById("group").addEventListener("change", show);
  document.getElementById("bar").hidden = false;

  function show() {
    var words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    var chosen = {};
    facets.forEach(function (f) { chosen[f] = document.getElementById("f-" + f).value; });
    var by = document.getElementById("group").value;
    var groups = new Map();
    var n = 0;
    of.forEach(function (o) {
      var fits = facets.every(function (f) { return !chosen[f] || o[f].indexOf(chosen[f]) >= 0; }) &&
        words.every(function (w) { return o.text.indexOf(w) >= 0; });
      if (!fits) return;
      n++;
      o[by].forEach(function (v) {
        if (chosen[by] && v !== chosen[by]) return;
        if (!groups.has(v)) groups.set(v, []);
        groups.get(v).push(o.row);
      });
    });
    var out = document.createDocumentFragment();
    var used = new Set();
    Array.from(groups.keys()).sort().forEach(function (v) {
      var section = document.createElement("section");
      var head = document.createElement("h2");
      head.textContent = v + " (" + groups.get(v).length + ")";
      section.appendChild(head);
      groups.get(v).forEach(function (r) {
        section.appendChild(used.has(r) ? r.cloneNode(true) : r);
        used.add(r);
      });
      out.appendChild(section);
    });
    main.replaceChildren(out);
    document.getElementById("count").textContent = n + " of " + of.length + " rows";
  }
  show();
})();
