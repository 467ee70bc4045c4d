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

  // a photograph and a colour scale carry their own shading; plaster shows its form by light alone
  const ambient = { photo: 0.75, depth: 0.75, plaster: 0.3 };
  const diffuse = { photo: 0.3, depth: 0.45, plaster: 0.7 };

  function trace(surface) {
    return {
      type: "mesh3d",
      x: surface.x, y: surface.y, z: surface.z,
      i: surface.i, j: surface.j, k: surface.k,
      vertexcolor: surface.photo,
      color: "#d8d0c2",
      hoverinfo: "skip",
      lighting: {
        ambient: ambient.photo, diffuse: diffuse.photo, specular: 0.05, roughness: 0.9,
        // the triangles are small: below these areas a normal counts as zero
        facenormalsepsilon: 0, vertexnormalsepsilon: 0,
      },
      // light from the viewer's upper left that stays with the viewer; plotly.js wants the opposite signs
      lightposition: { x: 1500, y: -2000, z: -2500 },
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
          const kind = button.dataset.colours;
          window.Plotly.restyle(view, {
            vertexcolor: [surface[kind] || null],
            "lighting.ambient": ambient[kind],
            "lighting.diffuse": diffuse[kind],
          });
        });
      });
    });
  });
  dark.addEventListener("change", function () {
    surfaces.forEach((_, index) => window.Plotly.relayout("surface-" + index, { "scene.bgcolor": layout().scene.bgcolor }));
  });
  Promise.all(drawn).then(() => (document.documentElement.dataset.surfaces = String(drawn.length)));
})();
