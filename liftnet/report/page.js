// Draws the surfaces and switches their colours. Everything else on the page works without scripts.
(function () {
  const holder = document.getElementById("meshes");
  if (!holder || !window.Plotly) return;
  const surfaces = JSON.parse(holder.textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function layout() {
    const axis = { visible: false, showspikes: false };
    return {
      margin: { l: 0, r: 0, t: 0, b: 0 },
      paper_bgcolor: "rgba(0,0,0,0)",
      scene: {
        xaxis: axis,
        yaxis: axis,
        zaxis: axis,
        aspectmode: "data",
        dragmode: "orbit",
        bgcolor: dark.matches ? "#1d2024" : "#f1ede6",
        camera: {
          eye: { x: 0.75, y: -1.55, z: 0.35 },
          up: { x: 0, y: 0, z: 1 },
          projection: { type: "orthographic" },
        },
      },
    };
  }

  function trace(surface) {
    return {
      type: "mesh3d",
      x: surface.x, y: surface.y, z: surface.z,
      i: surface.i, j: surface.j, k: surface.k,
      vertexcolor: surface.photo,
      color: "#d8d0c2",
      hoverinfo: "skip",
      lighting: { ambient: 0.62, diffuse: 0.6, specular: 0.08, roughness: 0.9 },
      lightposition: { x: -1000, y: -2500, z: 2500 },
    };
  }

  const options = { displaylogo: false, responsive: true, displayModeBar: false, scrollZoom: false };
  const drawn = surfaces.map(function (surface, index) {
    const view = document.getElementById("surface-" + index);
    return window.Plotly.newPlot(view, [trace(surface)], layout(), options).then(function () {
      view.dataset.drawn = String(surface.i.length);
      const buttons = view.parentElement.querySelectorAll("button");
      buttons.forEach(function (button) {
        button.addEventListener("click", function () {
          buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
          const colours = surface[button.dataset.colours] || null;
          window.Plotly.restyle(view, { vertexcolor: [colours] });
        });
      });
    });
  });
  dark.addEventListener("change", function () {
    surfaces.forEach((_, index) => window.Plotly.relayout("surface-" + index, { "scene.bgcolor": layout().scene.bgcolor }));
  });
  Promise.all(drawn).then(() => (document.documentElement.dataset.surfaces = String(drawn.length)));
})();
