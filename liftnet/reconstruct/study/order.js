"use strict";

// The same as order.py, to the last bit.
function generator(seed) {
  let state = seed | 0;
  return function () {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function showings(trials, participant, seed) {
  const draw = generator(participant ^ seed);
  const order = trials.map((_, place) => place);
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(draw() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order.map((place) => {
    const left = draw() < 0.5 ? "b" : "a";
    return { trial: trials[place], left: left, views_swapped: draw() < 0.5 };
  });
}
